"""Model files: genuine ones of CHGNet and MACE, made tiny, and hostile ones built byte by byte."""

import io
import lzma
import struct
import zipfile
from functools import lru_cache
from pathlib import Path

FOLDER = Path(__file__).parent / 'engine' / 'models'
FILES = {'chgnet': 'chgnet.pth.tar.xz', 'mace': 'mace.model.xz', 'mace-trained': 'mace-trained.model.xz'}
"""A CHGNet of 537 parameters saved by its Trainer, and MACEs of one channel: as built, and after `mace_run_train`."""
ARCHITECTURES = ('chgnet', 'mace')
GRAPH = {
    '_code': '\n\n\n\ndef forward(self, x, y):\n    z = torch.functional.einsum("ab,ab->a", x, y);  x = None\n    return z\n'
}
IMPORTS = 'from math import inf\nimport torch\n'


@lru_cache
def genuine_model(name):
    """Return the bytes of a genuine file, by its key in `FILES`."""
    return lzma.decompress((FOLDER / FILES[name]).read_bytes())


def torch_zip(pickled, root='archive', *, compression=zipfile.ZIP_STORED, **extra):
    """Return what `torch.save` would write around a pickle."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w', compression) as archive:
        archive.writestr(f'{root}/data.pkl', pickled)
        archive.writestr(f'{root}/version', b'3\n')
        for name, content in extra.items():
            archive.writestr(f'{root}/{name}', content)
    return stream.getvalue()


class Name:
    """A name in a module, as the opcode GLOBAL has it."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class Made:
    """A call by REDUCE, with the state given by BUILD."""

    def __init__(self, function, *arguments, state=None):
        self.function, self.arguments, self.state = function, arguments, state


def text(value):
    raw = value.encode()
    return b'X' + struct.pack('<I', len(raw)) + raw


def encode(value):
    """Return the opcodes of protocol 2 for a value."""
    if isinstance(value, Name):
        return f'c{value.module}\n{value.name}\n'.encode()
    if isinstance(value, Made):
        made = encode(value.function) + encode(tuple(value.arguments)) + b'R'
        return made if value.state is None else made + encode(value.state) + b'b'
    if value is None or isinstance(value, bool):
        return {None: b'N', True: b'\x88', False: b'\x89'}[value]
    if isinstance(value, int):
        return b'J' + struct.pack('<i', value)
    if isinstance(value, str):
        return text(value)
    if isinstance(value, bytes):
        return encode(Made(Name('_codecs', 'encode'), value.decode('latin1'), 'latin1'))
    if isinstance(value, tuple):
        return b'(' + b''.join(map(encode, value)) + b't'
    if isinstance(value, list):
        return b']' + b''.join(encode(item) + b'a' for item in value)
    return b'}' + b''.join(encode(key) + encode(item) + b's' for key, item in value.items())


def pickled(value):
    """Return a pickle of a value."""
    return b'\x80\x02' + encode(value) + b'.'


def graph_module(body=None, imports=IMPORTS):
    """Return the pickle of a stored GraphModule."""
    body = {**GRAPH, **(body or {})}
    return pickled(Made(Name('torch.fx.graph_module', 'reduce_graph_module'), body, imports))


def with_source(source, imports=IMPORTS):
    return graph_module({'_code': source}, imports)


def script_zip(source, **extra):
    """Return an archive of TorchScript with one file of code."""
    return torch_zip(pickled(None), **{'code/__torch__/torch/fx/graph_module.py': source, **extra})


def with_script(script):
    """Return the pickle of an e3nn module that holds TorchScript."""
    state = {'_modules': {}, '__codegen__': {'_compiled_main': script}}
    return pickled(Made(Name('e3nn.o3._linear', 'Linear'), state=state))


def hostile_model(command='touch code_was_run'):
    """Return a file that runs a command when it is unpickled."""
    return torch_zip(pickled({'model': Made(Name('os', 'system'), command)}))
