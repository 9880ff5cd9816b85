"""The only place where parts are joined: what each process is made of, and its life.

``child``      what every child process has in common: its orders, its signals, its background jobs
``collector``  takes requests in
``streams``    what of it is under ``/stream``, loaded once there is a service: `stream_parts`, with
               `stream_clients`
``groups``     whose profiles sources share: from the settings into the lake
``worker``     follows the journal, keeps the lake, answers questions; also without a server
``__main__``   how the supervisor starts a child

The two kinds are modules of their own so that a collector never loads the analytical engine.
"""
