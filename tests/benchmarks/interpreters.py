"""Published interpreters from PyPI (`pip install -e '.[peers]'`), and corpus programs written for
them: in Lua, with a file a dialect where its words differ, and in the text of WebAssembly."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from vmlab import corpus
from vmlab.engines import EngineUnavailable, Executable, Sample
from vmlab.isa import Type
from vmlab.outcome import Limits, Outcome
from vmlab.program import Number

_LUA = Path(__file__).parent / "lua"
_WAT = Path(__file__).parent / "wat"

_WASM3_STACK = 1 << 20  # bytes


class Peer(Executable):
    """A corpus program on another interpreter, loaded: a call from Python, and it runs. It knows
    no limits, and nothing interrupts it. Raises `EngineUnavailable` where the interpreter is not
    installed or cannot run here.

    release  what runs, with its version
    """

    release: str

    def __init__(self, name: str) -> None:
        # A number of LuaJIT does not say whether it is an int.
        self._number = float if corpus.load(name).main.result is Type.FLOAT else int
        try:
            self._main = self._load(name)
        except ImportError as error:
            raise EngineUnavailable(f"{error}; pip install -e '.[peers]'") from None

    @abstractmethod
    def _load(self, name: str) -> Callable[..., Number]:
        """The program's `main`; sets `release`."""

    def call(self, args: Sequence[Number], limits: Limits, iterations: int = 1) -> Sample:
        start = time.perf_counter_ns()
        for _ in range(iterations):
            result = self._main(*args)
        took = time.perf_counter_ns() - start
        return Sample(took, Outcome(self._number(result), (), None, None))

    def interrupt(self) -> None:
        pass


class Lua(Peer):
    """The reference implementation of Lua 5.4."""

    def _load(self, name: str) -> Callable[..., Number]:
        from lupa import lua54

        self.release = f"{lua54.LuaRuntime().lua_implementation}, lupa {version('lupa')}"
        return lua54.LuaRuntime().execute(_lua(name, "lua54"))


class LuaJIT(Peer):
    """LuaJIT's interpreter, which is written in assembly. Its compiler is off, and that it has
    compiled nothing is looked up after every call."""

    def _load(self, name: str) -> Callable[..., Number]:
        from lupa import luajit21

        self.runtime = luajit21.LuaRuntime()
        self.release = f"{self.runtime.lua_implementation}, jit.off(), lupa {version('lupa')}"
        self._compiled = self.runtime.eval("function() return require('jit.util').traceinfo(1) end")
        self.runtime.execute("jit.off()")
        return self.runtime.execute(_lua(name, "luajit"))

    def call(self, args: Sequence[Number], limits: Limits, iterations: int = 1) -> Sample:
        sample = super().call(args, limits, iterations)
        if self._compiled() is not None:
            raise EngineUnavailable("LuaJIT compiled a part of the program")
        return sample


class Pulley(Peer):
    """Wasmtime's interpreter: Cranelift compiles WebAssembly to a bytecode of its own."""

    def _load(self, name: str) -> Callable[..., Number]:
        import wasmtime

        self.release = f"wasmtime {version('wasmtime')}, target pulley64"
        config = wasmtime.Config()
        try:
            config.target = "pulley64"
            engine = wasmtime.Engine(config)
        except wasmtime.WasmtimeError as error:
            raise EngineUnavailable(f"this wasmtime has no Pulley: {error}") from None
        store = wasmtime.Store(engine)
        instance = wasmtime.Instance(store, wasmtime.Module(engine, _wat(name)), [])
        main = instance.exports(store)["main"]
        return lambda *args: main(store, *args)


class Wasm3(Peer):
    def _load(self, name: str) -> Callable[..., Number]:
        import wasm3
        import wasmtime

        self.release = f"pywasm3 {version('pywasm3')}"
        environment = wasm3.Environment()
        runtime = environment.new_runtime(_WASM3_STACK)
        binary = bytes(wasmtime.wat2wasm(_wat(name)))
        runtime.load(environment.parse_module(binary))
        return runtime.find_function("main")


PEERS: dict[str, type[Peer]] = {
    "Lua 5.4": Lua,
    "LuaJIT's interpreter": LuaJIT,
    "wasmtime's Pulley": Pulley,
    "wasm3": Wasm3,
}


def _lua(name: str, dialect: str) -> str:
    own = _LUA / f"{name}.{dialect}.lua"
    return (own if own.exists() else _LUA / f"{name}.lua").read_text()


def _wat(name: str) -> str:
    return (_WAT / f"{name}.wat").read_text()
