"""What an operator looks at: pages under ``/console``, JSON under ``/console/api``.

``token``    the secret that opens it; all that the supervisor needs of this package
``auth``     who may see anything: host, token, cookie, and where a POST comes from
``answers``  the questions, over lake and service: overview, events, one session, rejects
``paging``   pages of rows by key, so that what arrives meanwhile moves nothing
``api``      the answers as JSON
``pages``    the answers as HTML, with ``chart`` and ``words``; loads Jinja at the first page
``media``    the questions about media sessions; ``media_api`` and ``media_pages`` answer as the two
             above do, the pages in ``media_words``
``profiles`` likewise of profiles, with ``profile_api`` and ``profile_pages``
``ads``      likewise of ad breaks, with ``ads_api`` and ``ads_pages``
``site``     all of it as one application
``server``   the application on its port, inside the worker

It only reads. What may be asked in SQL is the lake's matter (`footfall.lake.guard`).
"""
