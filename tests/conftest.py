import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="rewrite tests/golden/*.txt from what is seen"
    )
    parser.addoption(
        "--aarch64",
        type=int,
        metavar="N",
        help="tests/kernels/test_aarch64.py on N generated programs and on all engines",
    )
