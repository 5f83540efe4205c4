"""The command `vmlab`, and `python -m vmlab`."""

import signal


def main() -> None:
    # Until there is a command line to answer it, Ctrl-C ends the process without a word.
    answer = signal.getsignal(signal.SIGINT)
    if answer is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from vmlab.cli import main as command_line

    signal.signal(signal.SIGINT, answer)
    command_line()


if __name__ == "__main__":
    main()
