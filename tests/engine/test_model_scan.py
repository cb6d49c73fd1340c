"""Genuine model files pass; hostile ones are refused, and nothing in them is ever run."""

import bz2
import gzip
import io
import lzma
import pickle
import sys
import tarfile
import time
import zipfile

import pytest

from aiida_hdiff.engine import exit_codes
from aiida_hdiff.engine.inert_pickle import InertPickleError, read_inert
from aiida_hdiff.engine.model_scan import PICKLED, scan_model
from tests.model_files import (
    ARCHITECTURES,
    FILES,
    Made,
    Name,
    encode,
    genuine_model,
    graph_module,
    pickled,
    script_zip,
    text,
    torch_zip,
    with_script,
    with_source,
)

COMMAND = 'touch code_was_run'
RUN = f'({text(COMMAND).decode("latin1")}t'.encode('latin1')
SYSTEM = Made(Name('os', 'system'), COMMAND)
DICT = Made(Name('collections', 'OrderedDict'))


class Reduced:
    """Runs a command when it is unpickled."""

    def __reduce__(self):
        import os

        return os.system, (COMMAND,)


class Evaluated:
    def __reduce__(self):
        return eval, (f'__import__("os").system("{COMMAND}")',)


def getattr_of(owner, *names):
    for name in names:
        owner = Made(Name('__builtin__', 'getattr'), owner, name)
    return owner


def raw(body, protocol=2):
    return b'\x80' + bytes([protocol]) + body + b'.'


def inside(payload):
    """Return a dictionary that looks like a checkpoint, with something in it."""
    return pickled({'model': {'state_dict': DICT, 'model_args': {}}, 'optimizer': payload})


PICKLES = {
    **{f'reduce_protocol_{p}': pickle.dumps({'model': Reduced()}, protocol=p) for p in range(6)},
    **{f'eval_protocol_{p}': pickle.dumps(Evaluated(), protocol=p) for p in range(6)},
    'system': inside(SYSTEM),
    'posix': inside(Made(Name('posix', 'system'), COMMAND)),
    'exec': inside(Made(Name('__builtin__', 'exec'), 'import os')),
    'builtins_eval': inside(Made(Name('builtins', 'eval'), '1')),
    'subprocess': inside(Made(Name('subprocess', 'Popen'), COMMAND)),
    'runpy': inside(Made(Name('runpy', 'run_path'), 'x.py')),
    'import_module': inside(Made(Name('importlib', 'import_module'), 'os')),
    'chain': inside(Made(Name('operator', 'methodcaller'), 'system', COMMAND)),
    'partial': inside(Made(Name('functools', 'partial'), Name('os', 'system'), COMMAND)),
    'getattr_module': inside(Made(getattr_of(Made(Name('importlib', 'import_module'), 'os'), 'system'), COMMAND)),
    'getattr_globals': inside(getattr_of(Name('collections', 'OrderedDict'), '__init__', '__globals__')),
    'getattr_class': inside(getattr_of(Name('torch._C', '_VariableFunctionsClass'), '__class__')),
    'getattr_from_file': inside(getattr_of(Name('torch._C', '_VariableFunctionsClass'), 'from_file')),
    'hub': inside(Made(Name('torch.hub', 'load'), 'someone/repository', 'model')),
    'torch_load': inside(Made(Name('torch.serialization', 'load'), 'other.pt')),
    'torch_jit_load': inside(Made(Name('torch.jit._serialization', 'load'), 'other.pt')),
    'nested_pickle': inside(Made(Name('torch.storage', '_load_from_bytes'), pickle.dumps(Reduced()))),
    'nested_pickle_loads': inside(Made(Name('_pickle', 'loads'), pickle.dumps(Reduced()))),
    'cpp_extension': inside(Made(Name('torch.utils.cpp_extension', 'load_inline'), 'x', '')),
    'numpy_load': inside(Made(Name('numpy', 'load'), 'x.npy', None, True)),
    'proxy_in_torch': inside(Made(Name('torch._utils', 'sys.modules'), 'x')),
    'proxy_in_collections': inside(Made(Name('collections', '_sys.exit'), 1)),
    'proxy_in_mace': inside(Made(Name('mace.modules.blocks', 'torch.hub.load'), 'x')),
    'proxy_in_e3nn': inside(Made(Name('e3nn.util.codegen._mixin', 'torch.load'), 'x')),
    'proxy_in_linear': inside(Made(Name('torch.nn.modules.linear', 'F.torch.load'), 'x')),
    'dotted_stack_global': raw(text('collections') + text('OrderedDict.__init__.__globals__') + b'\x93', 4),
    'stack_global': raw(text('os') + text('system') + b'\x93' + RUN + b'R', 4),
    'stack_global_memo': raw(text('os') + b'\x94' + b'0' + text('system') + b'\x94' + b'0' + b'h\x00h\x01\x93' + RUN + b'R', 4),
    'memo_long': raw(b'cos\nsystem\n' + b'r\xff\xff\x00\x00' + b'0' + b'}' + b'j\xff\xff\x00\x00' + RUN + b'R0'),
    'popped_call': raw(encode(SYSTEM) + b'0' + b'}'),
    'popped_mark': raw(b'(' + encode(SYSTEM) + b'1' + b'}'),
    'popped_name': raw(b'cthis_module_runs_on_import\nx\n0}'),
    'overwritten_memo': raw(encode(SYSTEM) + b'q\x000' + b'}q\x00'),
    'overwritten_key': raw(b'}' + text('a') + encode(SYSTEM) + b's' + text('a') + b'Ns'),
    'inst': raw(f'(S"{COMMAND}"\nios\nsystem\n'.encode()),
    'obj': raw(b'(cos\nsystem\n' + text(COMMAND) + b'o'),
    'newobj': raw(b'cos\nsystem\n' + RUN + b'\x81'),
    'newobj_ex': raw(b'cos\nsystem\n' + RUN + b'}\x92', 4),
    'extension': raw(b'\x82\x01' + RUN + b'R'),
    'extension_2': raw(b'\x83\x01\x00'),
    'extension_4': raw(b'\x84\x01\x00\x00\x00'),
    'build_on_name': raw(encode(Name('collections', 'OrderedDict')) + encode({'update': DICT}) + b'b'),
    'build_on_dict': raw(b'}' + encode({'a': 1}) + b'b'),
    'build_slots': pickled(Made(Name('collections', 'OrderedDict'), state=(None, {'a': 1}))),
    'call_of_call': raw(encode(DICT) + RUN + b'R'),
    'call_of_text': raw(text('x') + b')R'),
    'other_codec': inside(Made(Name('_codecs', 'encode'), 'x', 'rot13')),
    'codec_of_bytes': inside(Made(Name('_codecs', 'decode'), 'x', 'zip')),
    'persistent_text': raw(b'Pos.system\n'),
    'persistent_other': raw(encode(('module', Name('torch', 'FloatStorage'), '0', 'cpu', 1)) + b'Q'),
    'persistent_path': raw(encode(('storage', Name('torch', 'FloatStorage'), '../x', 'cpu', 1)) + b'Q'),
    'second_pickle': pickled({}) + pickle.dumps(Reduced()),
    'trailing': pickled({}) + b' ',
    'truncated': pickled({'a': 1})[:-1],
    'empty': b'',
    'text': b'#!/bin/sh\n' + COMMAND.encode(),
    'homoglyph': inside(Made(Name('соllections', 'OrderedDict'))),
    'wrong_module': inside(Made(Name('collections ', 'OrderedDict'))),
    'deep': raw(b']' * 12_000 + b'a' * 11_999),
    'tuple_key': raw(b')' + b'2\x86' * 60 + b'q\x000}h\x00Ns'),
}  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_runs(tmp_path, monkeypatch):
    """Work in an empty folder, and find it empty in the end."""
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    yield
    assert list(tmp_path.glob('code_was_run')) == []
    assert not {'torch', 'mace', 'chgnet', 'e3nn'} & (set(sys.modules) - before)


@pytest.mark.parametrize('name', FILES)
def test_genuine(name):
    scan = scan_model(genuine_model(name), name.split('-')[0])
    assert scan.findings == ()
    assert scan.is_safe
    assert {'collections.OrderedDict', 'torch._utils._rebuild_tensor_v2'} <= set(scan.names)
    assert len(scan.sha256) == 64


def test_only_one_architecture_is_allowed():
    assert 'it names `e3nn.' in ' '.join(scan_model(genuine_model('mace'), 'chgnet').findings)
    with pytest.raises(ValueError, match='are not scanned: give one of chgnet, mace'):
        scan_model(b'', 'lammps')


@pytest.mark.parametrize('architecture', PICKLED)
@pytest.mark.parametrize('name', PICKLES)
def test_hostile_pickles(name, architecture):
    scan = scan_model(torch_zip(PICKLES[name]), architecture)
    assert scan.findings
    assert f'the file is not loaded: {scan.findings[0]}' in scan.message('the file')
    assert 'allow it with --trust' in scan.message('the file')


def test_the_offending_name_is_told():
    for name, offender in (('system', 'os.system'), ('popped_call', 'os.system'), ('hub', 'torch.hub.load')):
        assert f'`{offender}`' in ' '.join(scan_model(torch_zip(PICKLES[name]), 'mace').findings)
    assert 'extension registry' in scan_model(torch_zip(PICKLES['extension']), 'mace').findings[0]


def test_hostile_call_in_a_genuine_file():
    """A call is put in front of all that a genuine pickle does, and the result thrown away."""
    for architecture in ARCHITECTURES:
        source = zipfile.ZipFile(io.BytesIO(genuine_model(architecture)))
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, 'w') as target:
            for entry in source.infolist():
                content = source.read(entry)
                if entry.filename.endswith('/data.pkl'):
                    content = content[:2] + encode(SYSTEM) + b'0' + content[2:]
                target.writestr(entry.filename, content)
        assert 'it names `os.system`' in scan_model(stream.getvalue(), architecture).findings


def test_rebuilt_genuine_file_passes():
    source = zipfile.ZipFile(io.BytesIO(genuine_model('mace')))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w') as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    assert scan_model(stream.getvalue(), 'mace').is_safe


SOURCES = {
    'import': with_source('import os\ndef forward(self, x):\n    return x\n'),
    'import_inside': with_source('def forward(self, x):\n    import os\n    return x\n'),
    'call': with_source('def forward(self, x):\n    y = __import__("os").system("touch code_was_run")\n    return x\n'),
    'other_torch': with_source('def forward(self, x):\n    y = torch.hub.load("a", "b")\n    return x\n'),
    'torch_load': with_source('def forward(self, x):\n    y = torch.load("a")\n    return x\n'),
    'method': with_source('def forward(self, x):\n    y = x.__class__.__base__\n    return x\n'),
    'method_call': with_source('def forward(self, x):\n    y = x.numpy()\n    return x\n'),
    'permute_of_torch': with_source('def forward(self, x):\n    y = torch.permute(x)\n    return x\n'),
    'alias': with_source('def forward(self, x):\n    y = torch\n    return x\n'),
    'rebound': with_source('def forward(self, x):\n    torch = x\n    return x\n'),
    'default': with_source('def forward(self, x=open("code_was_run", "w")):\n    return x\n'),
    'annotation': with_source('def forward(self, x: open("code_was_run", "w")):\n    return x\n'),
    'returns': with_source('def forward(self, x) -> open("code_was_run", "w"):\n    return x\n'),
    'decorator': with_source('@print\ndef forward(self, x):\n    return x\n'),
    'statement_before': with_source('x = 1\ndef forward(self, x):\n    return x\n'),
    'two_functions': with_source('def forward(self, x):\n    return x\ndef other(self):\n    return 1\n'),
    'lambda': with_source('def forward(self, x):\n    y = lambda: x\n    return x\n'),
    'comprehension': with_source('def forward(self, x):\n    return [y for y in x]\n'),
    'class': with_source('class forward:\n    pass\n'),
    'f_string': with_source('def forward(self, x):\n    return f"{x}"\n'),
    'syntax': with_source('def forward(self, x:\n'),
    'null': with_source('def forward(self, x):\n    return x\n\0'),
    'imports': graph_module(imports='import os\n'),
    'imports_call': graph_module(imports='import torch; print(1)\n'),
    'imports_continued': graph_module(imports='import torch\\\n'),
    'unknown_key': graph_module({'_graphmodule_cls_name': 'X'}),
    'tracer': graph_module({'_tracer_cls': Name('torch.nn.functional', 'silu')}),
    'tracer_extras': graph_module({'_tracer_extras': {'concrete_args': 1}}),
    'no_source': graph_module({'_code': None}),
    'as_value': pickled({'hook': Name('torch.fx.graph_module', 'reduce_graph_module')}),
    'getattr_as_value': pickled([Name('__builtin__', 'getattr')]),
    'positional': pickled(Made(Name('torch.fx.graph_module', 'reduce_graph_module'), 1)),
    'module_with_arguments': pickled(Made(Name('torch.nn.modules.linear', 'Linear'), 1, 1)),
    'called_value': pickled(Made(Name('torch.nn.functional', 'silu'), 1)),
    'state_of_function': pickled(Made(Name('torch._utils', '_rebuild_parameter'), 1, state={'a': 1})),
    'bytes': pickled(pickle.dumps(Reduced())),
}


def test_genuine_graph_module():
    assert scan_model(torch_zip(graph_module()), 'mace').findings == ()


@pytest.mark.parametrize('name', SOURCES)
def test_hostile_source(name):
    assert scan_model(torch_zip(SOURCES[name]), 'mace').findings


SCRIPT = 'class GraphModule(Module):\n  def forward(self: __torch__.torch.fx.graph_module.GraphModule, x: Tensor) -> Tensor:\n    {}\n    return x\n'
SCRIPTS = {
    'save': script_zip(SCRIPT.format('_0 = torch.save(x, "code_was_run")')),
    'spaced': script_zip(SCRIPT.format('_0 = torch . save (x, "code_was_run")')),
    'method': script_zip(SCRIPT.format('_0 = x.save("code_was_run")')),
    'from_file': script_zip(SCRIPT.format('_0 = torch.from_file("a", True, 3)')),
    'aten': script_zip(SCRIPT.format('_0 = ops.aten.save(x, "code_was_run")')),
    'custom': script_zip(SCRIPT.format('_0 = ops.mine.run(x)')),
    'alias': script_zip(SCRIPT.format('_0 = torch')),
    'alias_function': script_zip(SCRIPT.format('_0 = torch.save')),
    'function': script_zip(SCRIPT.format('open("code_was_run")')),
    'class': script_zip('class GraphModule(Other):\n  pass\n'),
    'with': script_zip(SCRIPT.format('with x: pass')),
    'syntax': script_zip('('),
    'pickle': torch_zip(PICKLES['system']),
    'constants': torch_zip(pickled(None), **{'constants.pkl': PICKLES['system']}),
    'bound_class': torch_zip(pickled(Name('__torch__.torch.classes.mine', 'Thing'))),
    'other_file': script_zip(SCRIPT.format('pass'), **{'code/evil.py': 'x = 1'}),
    'not_an_archive': b'PK\x03\x04' + bytes(50),
}


def test_genuine_script():
    script = script_zip(SCRIPT.format('_0 = torch.add(x, x)'), **{'constants.pkl': pickled(())})
    assert scan_model(torch_zip(with_script(script)), 'mace').findings == ()


@pytest.mark.parametrize('name', SCRIPTS)
def test_hostile_script(name):
    assert scan_model(torch_zip(with_script(SCRIPTS[name])), 'mace').findings


def tar_of(name, content):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode='w') as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def two_entries():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w') as archive:
        archive.writestr('a/data.pkl', pickled({}))
        with pytest.warns(UserWarning, match='Duplicate'):
            archive.writestr('a/data.pkl', PICKLES['system'])
    return stream.getvalue()


CONTAINERS = {
    'bare pickle': lambda: PICKLES['system'],
    'legacy torch': lambda: pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + PICKLES['system'],
    'legacy tar': lambda: tar_of('pickle', PICKLES['system']),
    'nested zip': lambda: torch_zip(torch_zip(PICKLES['system'])),
    'zip beside': lambda: torch_zip(pickled({}), **{'inner.zip': torch_zip(PICKLES['system'])}),
    'zip in bytes': lambda: torch_zip(pickled({'a': torch_zip(PICKLES['system'])})),
    'pickle beside': lambda: torch_zip(pickled({}), **{'evil.pkl': PICKLES['system']}),
    'no pickle': lambda: torch_zip(pickled({})).replace(b'data.pkl', b'datb.pkl'),
    'deflated': lambda: torch_zip(PICKLES['system'] + bytes(1000), compression=zipfile.ZIP_DEFLATED),
    'seven zip': lambda: b'7z\xbc\xaf\x27\x1c' + bytes(100),
    'gzip': lambda: gzip.compress(torch_zip(PICKLES['system'])),
    'bzip2': lambda: bz2.compress(torch_zip(PICKLES['system'])),
    'xz': lambda: lzma.compress(torch_zip(PICKLES['system'])),
    'pickle before a zip': lambda: PICKLES['system'] + torch_zip(pickled({})),
    'zip before a zip': lambda: torch_zip(PICKLES['system']) + torch_zip(pickled({})),
    'comment': lambda: torch_zip(pickled({}))[:-2] + b'\x05\x00hello',
    'two entries': two_entries,
    'two cases': lambda: torch_zip(pickled({}), **{'DATA.PKL': PICKLES['system']}),
    'other local name': lambda: torch_zip(pickled({})).replace(b'archive/version', b'archive/versiom', 1),
    'encrypted': lambda: torch_zip(pickled({})).replace(b'PK\x01\x02\x14\x03\x14\x00\x00', b'PK\x01\x02\x14\x03\x14\x00\x01'),
    'wrong checksum': lambda: torch_zip(pickled({'aaaa': 1})).replace(b'aaaa', b'aaab', 1),
    'torchscript': lambda: script_zip(SCRIPT.format('pass')),
    'cut off': lambda: genuine_model('chgnet')[:-100],
    'cut in half': lambda: genuine_model('mace')[: len(genuine_model('mace')) // 2],
    'empty': lambda: b'',
    'magic only': lambda: b'PK\x03\x04',
    'text': lambda: b'not a model',
}  # fmt: skip


@pytest.mark.parametrize('architecture', PICKLED)
@pytest.mark.parametrize('name', CONTAINERS)
def test_hostile_containers(name, architecture):
    scan = scan_model(CONTAINERS[name](), architecture)
    assert scan.findings, name


def test_expansion_is_quick():
    """Sixty doublings of a tuple are one object sixty times over; going through it must not take 2^60 steps."""
    start = time.perf_counter()
    scan_model(torch_zip(raw(b')' + b'2\x86' * 60)), 'mace')
    assert time.perf_counter() - start < 2


def test_inert_reader_is_not_fooled_by_hashes():
    with pytest.raises(InertPickleError, match='tuple as key'):
        read_inert(PICKLES['tuple_key'])


@pytest.mark.parametrize('architecture', PICKLED)
def test_engine_refuses(engine, tmp_path, monkeypatch, architecture):
    """The engine looks again where the model is loaded, before torch sees it."""
    from tests.engine.conftest import copper

    loaded = []
    torch = type(sys)('torch')
    torch.set_num_threads = lambda number: None
    torch.load = lambda *arguments, **settings: loaded.append(settings) or {'model': {}}
    stub = type(sys)('stub')
    stub.CHGNet = stub.CHGNetCalculator = stub.MACECalculator = type('Stub', (), {})
    names = ('chgnet', 'chgnet.model', 'chgnet.model.dynamics', 'mace', 'mace.calculators')
    for name, module in {'torch': torch, **dict.fromkeys(names, stub)}.items():
        monkeypatch.setitem(sys.modules, name, module)
    model = tmp_path / 'model'
    model.write_bytes(torch_zip(PICKLES['system']))
    potential = {'architecture': architecture, 'file': 'potential.0'}
    run = engine(copper(1), potential=potential, copy=[(model, 'potential.0')])
    assert run.code == exit_codes.MODEL_REFUSED
    assert 'potential.0 is not loaded: it names `os.system`' in run.status['message']
    assert 'allow it with --trust' in run.status['message']
    assert loaded == []

    engine(copper(1), potential={**potential, 'trusted': True}, copy=[(model, 'potential.0')])
    assert [settings['weights_only'] for settings in loaded] == [False]
    for name in ('torch', *names):
        monkeypatch.delitem(sys.modules, name)
