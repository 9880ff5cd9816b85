"""Children are started again at once: for tests that kill them by the dozen."""


def supervisor(children):
    children.RESTART_SECONDS = (0.05,)
