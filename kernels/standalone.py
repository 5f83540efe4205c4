"""A program on a native engine as an executable of its own: the very object code that runs here,
and a C `main` that lays out the same memory for it.

Every region lies at the start of a page, as it does here, and what is an address here becomes the
address of the same word there.
"""

from vmlab.engines import Standalone
from vmlab.isa import INT_MIN, Type
from vmlab.kernels.context import FIELDS, INDEX
from vmlab.kernels.executable import STACK_RESERVE, number
from vmlab.outcome import Outcome
from vmlab.stack import DEEP_BYTES

_SOURCE = """\
#include <inttypes.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

int64_t enter(int64_t *context, int64_t runs);

static int64_t context[] = {%(context)s};
%(contents)s
static int64_t *reserve(size_t bytes) {
    void *words = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (words == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return words;
}

static int64_t runs, code;

static void *run(void *unused) {
    code = enter(context, runs);
    return unused;
}

int main(int argc, char **argv) {
    runs = argc == 2 ? strtoll(argv[1], NULL, 10) : 1;
%(memory)s
    int64_t *stack_end = reserve(%(stack_bytes)d);
    context[%(native_limit)d] = (int64_t)stack_end + %(stack_kept)d;
    pthread_attr_t attributes;
    pthread_t thread;
    if (pthread_attr_init(&attributes)
        || pthread_attr_setstack(&attributes, stack_end, %(stack_bytes)d)
        || pthread_create(&thread, &attributes, run, NULL) || pthread_join(thread, NULL)) {
        fputs("no thread could be started\\n", stderr);
        return 1;
    }
    const int64_t *pairs = (const int64_t *)context[%(output)d];
    int64_t used = context[%(output_used)d];
    printf("%%" PRId64 " %%" PRId64 " %%" PRId64, code, context[%(result)d], used);
    for (int64_t i = 0; i < 2 * used; i++)
        printf(" %%" PRId64, pairs[i]);
    putchar('\\n');
    return 0;
}
"""


def standalone(executable, object_code: bytes) -> Standalone:
    """The executable with the arguments and limits of its last call, which has laid them out."""
    memory = executable.memory()
    context = executable.state.context
    names = [f"region{index}" for index in range(len(memory))]

    def located(address: int) -> str | None:
        for name, (region, _) in zip(names, memory, strict=True):
            if region.address <= address < region.address + region.size:
                return f"(int64_t){name} + {address - region.address}"
        return None

    contents, lines = [], []
    for name, (region, content) in zip(names, memory, strict=True):
        lines.append(f"int64_t *{name} = reserve({region.size});")
        if content:
            words = region.words.tolist()
            contents.append(f"static const int64_t {name}_words[] = {{{_constants(words)}}};\n")
            lines.append(f"memcpy({name}, {name}_words, sizeof {name}_words);")
    # Behind these fields come those that running code writes. The numbers among them are sizes of
    # what fits into memory, far below any address.
    fixed = [getattr(context, name) for name in FIELDS[: INDEX["heap_used"]]]
    for index, value in enumerate(fixed):
        if (place := located(value)) is not None:
            lines.append(f"context[{index}] = {place};")
    for region in executable.state.address_regions():
        name = names[next(i for i, (other, _) in enumerate(memory) if other is region)]
        for index, value in enumerate(region.words.tolist()):
            if (place := located(value)) is not None:
                lines.append(f"{name}[{index}] = {place};")
    source = _SOURCE % {
        "context": _constants(fixed + [0] * (len(FIELDS) - len(fixed))),
        "contents": "".join(contents),
        "memory": "\n".join(f"    {line}" for line in lines),
        "stack_bytes": DEEP_BYTES,
        "stack_kept": STACK_RESERVE + executable.state.machine_stack,
        **{name: INDEX[name] for name in ("native_limit", "output", "output_used", "result")},
    }
    return Standalone(object_code, source, lambda text: _read(text, executable.program))


def _constants(words) -> str:
    # The minimum has no literal in C: its digits alone do not fit.
    return ", ".join(f"INT64_C({word})" if word != INT_MIN else "INT64_MIN" for word in words)


def _read(text: str, program) -> Outcome:
    """What the executable has printed. Raises ValueError where that is something else, or where
    the program has trapped."""
    code, result, used, *pairs = map(int, text.split())
    if code:
        raise ValueError(f"it trapped with the code {code}")
    if len(pairs) != 2 * used:
        raise ValueError(f"it printed {len(pairs)} words for {used} values")
    output = tuple(
        number(bits, Type.FLOAT if kind else Type.INT)
        for kind, bits in zip(pairs[::2], pairs[1::2], strict=True)
    )
    type_ = program.main.result
    return Outcome(number(result, type_) if type_ else None, output, None, None)
