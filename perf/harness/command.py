"""What every command does to begin and to end."""
import resource
import signal
import sys


def positive(text):
    if int(text) < 1:
        raise ValueError(text)
    return int(text)


def ended_by_signals(name, seconds_max):
    """By a signal, or by the time that it may take: everything that was started is stopped on the way out."""
    def ended(number, _):
        raise SystemExit(f"{name}: ended by {signal.Signals(number).name}")
    for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(stop, ended)
    signal.alarm(seconds_max)


def allow_files(wanted=0):
    """Servers and drivers, which inherit it, need one for each connection. Returns how many there may be: as many as are wanted
    only where that is within the limit, or we may raise it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY or most >= wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        return wanted if most == resource.RLIM_INFINITY else most
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
        return wanted
    except (ValueError, OSError):  # Which one depends on why it may not.
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        return most


def failed(name, problem):
    """The exit status."""
    print(f"{name}: {problem}", file=sys.stderr)
    return 1
