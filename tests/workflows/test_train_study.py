"""Study files with a training plan: what is made of them, and what is refused before anything is submitted."""

import numpy as np
import pytest
from aiida import orm

from aiida_hdiff.cli.launch import validate_builder
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.formats import LabelledFrames
from aiida_hdiff.workflows.plan import plan_seconds, study_plan
from aiida_hdiff.workflows.study import study_builder
from tests.model_files import genuine_model

STUDY = {'temperatures_K': [800, 1000], 'protocol': 'fast'}
TINY = {'r_max': 4.0, 'num_interactions': 1, 'max_num_epochs': 2, 'batch_size': 2}
MACE = {'architecture': 'mace', 'file': 'mace.model', 'elements': ['H', 'Ni'], 'cutoff_A': 4.0}
CHGNET = {'architecture': 'chgnet', 'file': 'chgnet.model', 'elements': ['H', 'Ni'], 'cutoff_A': 3.0}
SCRATCH = {'kind': 'from_scratch', 'config': TINY}


def nickel_set(n_frames=12, seed=1):
    """Return a data set of nickel and hydrogen with labels by EMT."""
    from dataclasses import replace

    from ase.calculators.emt import EMT

    from aiida_hdiff.formats import LabelledFrame
    from tests.conftest import nickel_hydride

    rng, frames = np.random.default_rng(seed), []
    for index in range(n_frames):
        atoms = nickel_hydride(1, 1 + index % 2)
        atoms.positions += rng.normal(0.0, 0.05, atoms.positions.shape)
        atoms.calc = EMT()
        for label in ('potential_energy', 'forces', 'stress'):
            getattr(atoms, f'get_{label}')()
        frames.append(replace(LabelledFrame.from_ase(atoms), origin=f'md:{index}', reference='emt'))
    return LabelledDataset(LabelledFrames.from_frames(frames))


@pytest.fixture(scope='module')
def stored(aiida_profile):
    """Return what all studies have: their structure, and the data set."""
    from tests.conftest import nickel_hydride

    structure = orm.StructureData(ase=nickel_hydride(3, 2)).store()
    return {**STUDY, 'structure': {'node': structure.uuid}}, {'node': nickel_set().store().uuid}


@pytest.fixture
def build(fake_code, tmp_path, monkeypatch, stored):
    """Give a function that makes the builder of a study and validates it, with codes that are never run."""
    codes = {'lammps': fake_code().full_label, 'engine': fake_code('hdiff.md').full_label}
    monkeypatch.setattr('aiida_hdiff.workflows.study.DEFAULT_CODES', codes)
    (tmp_path / 'mace.model').write_bytes(genuine_model('mace-trained'))
    (tmp_path / 'chgnet.model').write_bytes(genuine_model('chgnet'))
    (tmp_path / 'text.model').write_bytes(b'this is no model')

    def make(potentials, training=None, **changes):
        study, dataset = stored
        section = {'dataset': dataset, 'split': {'valid': 2, 'test': 2}, **(training or {})}
        builder = study_builder({**study, 'potentials': potentials, 'training': section, **changes}, tmp_path)
        validate_builder(builder)
        return builder

    return make


def test_builder(build, fake_code):
    builder = build(
        {
            'scratch': {**SCRATCH, 'seed': 5},
            'mace_ft': {'kind': 'fine_tuned', 'foundation': MACE, 'config': {'max_num_epochs': 2}},
            'chgnet_ft': {'kind': 'fine_tuned', 'foundation': CHGNET, 'settings': {'epochs': 2}},
            'chgnet': {'kind': 'pretrained', **CHGNET},
            'emt': {'architecture': 'emt'},
        },
        {'gate': {'force_rmse_meV_A': 99.0}},
        codes={name: fake_code('hdiff.md', label=name).full_label for name in ('mace', 'chgnet')},
    )
    plan = builder.training.plan
    assert set(builder.potentials) == {'emt'}
    assert set(plan) == {'scratch', 'mace_ft', 'chgnet_ft', 'chgnet'}
    assert set(builder.codes) == {'engine', 'mace', 'chgnet'}
    assert plan['scratch']['seed'].value == 5
    assert plan['mace_ft']['foundation'].architecture == 'mace'
    assert plan['chgnet']['potential'].pk == plan['chgnet_ft']['foundation'].pk
    assert builder.training.split.get_dict() == {'seed': 1, 'valid': 2, 'test': 2}
    gate = builder.training.gate.get_dict()
    assert (gate['force_rmse_meV_A'], gate['smoke_time_ps']) == (99.0, 0.5)
    counts = study_plan(builder)
    assert (counts['trainings'], counts['runs']) == (4, 10)
    assert plan_seconds(builder) > 60


def test_sets_from_files_and_parts(build, tmp_path, stored):
    from aiida_hdiff.formats import write_extxyz

    parts = {}
    for number, name in enumerate(('train', 'valid', 'test')):
        with (tmp_path / f'{name}.xyz').open('w') as handle:
            write_extxyz(nickel_set(4, seed=number).frames(), handle)
        parts[name] = {'file': f'{name}.xyz'}
    with pytest.raises(ValueError, match=r'`training.dataset` is given beside `train`, `valid` or `test`'):
        build({'scratch': SCRATCH}, parts)
    study = {**stored[0], 'potentials': {'scratch': SCRATCH}, 'training': parts}
    builder = study_builder(study, tmp_path)
    validate_builder(builder)
    assert builder.training.train.creator.process_type == 'aiida.calculations:hdiff.import_extxyz'
    assert builder.training.train.references == ['emt']
    joined = {'dataset': {'files': ['train.xyz', 'valid.xyz', 'test.xyz'], 'format': 'extxyz'}}
    builder = study_builder({**study, 'training': {**joined, 'split': {'valid': 2, 'test': 2}}}, tmp_path)
    validate_builder(builder)
    assert builder.training.dataset.n_frames == 12


@pytest.mark.parametrize(
    ('potentials', 'training', 'message'),
    [
        ({'m': {'kind': 'trained'}}, {}, "`potentials.m.kind`: 'trained' is not one of"),
        ({'m': {**SCRATCH, 'archtecture': 'mace'}}, {}, 'unknown key `archtecture` in potentials.m. Did you mean'),
        (
            {'m': {'kind': 'from_scratch', 'architecture': 'chgnet'}},
            {},
            "potential 'm': `architecture` is 'chgnet': only",
        ),
        ({'m': {'kind': 'fine_tuned'}}, {}, "potential 'm': `foundation` is missing: a potential of the kind"),
        ({'m': {**SCRATCH, 'file': 'mace.model'}}, {}, "potential 'm': `file` is of no use for the kind from_scratch"),
        ({'m': {**SCRATCH, 'kpoints': [1, 1, 1]}}, {}, "potential 'm': `kpoints` is of no use for the kind from_scra"),
        (
            {'m': {'kind': 'fine_tuned', 'foundation': MACE, 'architecture': 'chgnet'}},
            {},
            "potential 'm': `architecture` is 'chgnet', but `foundation` is of 'mace'",
        ),
        (
            {'m': {'kind': 'fine_tuned', 'foundation': {**MACE, 'file': 'text.model'}}},
            {},
            "potential 'm': `foundation`: the mace model of potential",
        ),
        (
            {'m': {'kind': 'fine_tuned', 'foundation': {**MACE, 'file': 'no.model'}}},
            {},
            "potential 'm': `foundation`: potential file 'no.model' does not exist",
        ),
        (
            {'m': {'kind': 'fine_tuned', 'foundation': {**MACE, 'elements': ['Ni']}}},
            {},
            "potential 'm': `foundation` does not ",
        ),
        ({'m': {'kind': 'from_scratch', 'config': {'r_maxx': 4.0}}}, {}, '`r_maxx`'),
        (
            {'m': {**SCRATCH, 'settings': {'e0s': {'Ni': -1.0}}}},
            {},
            "potential 'm': `settings.e0s` lacks H: give the energy in eV of every element",
        ),
        ({'m': {**SCRATCH, 'config': {**TINY, 'r_max': 9.0}}}, {}, "twice the cutoff of potential 'm' (9.00 Å)"),
        ({'m': {'kind': 'distilled', 'teacher': 'n'}}, {}, "potential 'm': `teacher` is 'n', which is no potential"),
        ({'m': {'kind': 'distilled', 'teacher': 'm'}}, {}, "potential 'm': its `teacher` 'm' is itself"),
        ({'m': SCRATCH}, {'split': {'valid': 0, 'test': 2}}, "potential 'm': `valid` is missing"),
        ({'m': SCRATCH}, {'split': {'valid': 2, 'test': 0}}, "potential 'm': `test` is missing: the gate limits the"),
        ({'m': SCRATCH}, {'split': {'valid': 6, 'test': 6}}, '`training.split` of `training.dataset`: '),
        ({'m': SCRATCH}, {'split': {'valid': 2, 'tests': 2}}, '`training.split` of `training.dataset`: '),
        (
            {'m': SCRATCH},
            {'gate': {'force_rmse': 5.0}},
            'unknown key `gate.force_rmse`. Did you mean `gate.force_rmse_',
        ),
        ({'m': SCRATCH}, {'gate': {'force_rmse_meV_A': -5.0}}, '`force_rmse_meV_A` is -5.0: give a positive number'),
        ({'m': SCRATCH}, {'dataset': {'node': 99999999}}, '`training.dataset`: `node` 99999999 is no node'),
        ({'m': SCRATCH}, {'dataset': {'file': 'no.xyz'}}, '`training.dataset`: no.xyz is no file.'),
        ({'m': SCRATCH}, {'dataset': {'files': []}}, '`training.dataset`: `files` is empty'),
        ({'m': {'architecture': 'emt'}}, {}, '`training` is given, but no potential has a `kind`'),
    ],
)
def test_what_is_wrong_is_named(build, potentials, training, message):
    with pytest.raises(ValueError) as caught:
        build(potentials, training)
    assert message in str(caught.value)


LINE = 'Lattice="3.52 0 0 0 3.52 0 0 0 3.52" pbc="T T T" Properties=species:S:1:pos:R:3{forces} {labels}'
ATOMS = 'Ni 0 0 0{0}\nNi 1.76 1.76 0{0}\nH 1.76 0 0{0}\n'


def xyz(forces=' 0.1 0.2 0.3', labels='energy=-1.5', n_frames=12):
    """Return extended xyz with equal frames."""
    kind = ':forces:R:3' if forces else ''
    return ''.join(f'3\n{LINE.format(forces=kind, labels=labels)}\n{ATOMS.format(forces)}' for _ in range(n_frames))


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('', 'cannot be read'),
        (xyz(forces=''), 'forces'),
        (xyz(labels=''), 'energy'),
        (xyz(labels='energy=nan'), 'cannot be read'),
        (xyz(forces=' nan 0 0'), 'cannot be read'),
        (xyz(n_frames=1), '`training.split` of `training.dataset`: '),
        (
            xyz(n_frames=2, labels='energy=-1.5 reference=a') + xyz(n_frames=2, labels='energy=-1 reference=b'),
            'different references',
        ),
        (xyz(forces=' 0.0 0.0 0.0'), '`training.split` of `training.dataset`: '),
    ],
)
def test_bad_frames_are_refused(build, tmp_path, content, message):
    (tmp_path / 'bad.xyz').write_text(content)
    with pytest.raises(ValueError) as caught:
        build({'scratch': SCRATCH}, {'dataset': {'file': 'bad.xyz'}})
    assert message in str(caught.value)


def test_files_of_two_levels_are_not_joined(build, tmp_path):
    from aiida_hdiff.formats import write_extxyz

    for name, seed in (('a', 1), ('b', 2)):
        frames = nickel_set(3, seed=seed).frames()
        frames = LabelledFrames(**{**vars(frames), 'references': (name,) * 3})
        with (tmp_path / f'{name}.xyz').open('w') as handle:
            write_extxyz(frames, handle)
    with pytest.raises(ValueError, match=r"the labels have different references: 'a' \(in a.xyz\), 'b' \(in b.xyz\)"):
        build({'scratch': SCRATCH}, {'dataset': {'files': ['a.xyz', 'b.xyz']}})


def test_a_node_that_is_no_data_set(build):
    node = orm.Int(3).store()
    with pytest.raises(ValueError, match=f'`training.dataset`: node {node.pk} is a Int, not a data set'):
        build({'scratch': SCRATCH}, {'dataset': {'node': node.pk}})


def test_a_teacher_of_lammps_labels_by_the_engine(build, setfl_path):
    eam = {'pair_style': 'eam/alloy', 'files': [str(setfl_path)]}
    pod = {'kind': 'distilled', 'teacher': 'eam'}
    for first in ({'kind': 'given', **eam}, eam):
        builder = build({'eam': first, 'pod': pod})
        assert set(builder.codes) == {'lammps', 'engine'}
        for name in ('dataset', 'split'):
            del builder.training[name]
        builder.training['gate'] = orm.Dict({'energy_rmse_meV_per_atom': None, 'force_rmse_meV_A': None})
        validate_builder(builder)
        del builder.codes['engine']
        with pytest.raises(ValueError, match=r"'pod': `codes.engine` is missing, which labels with the teacher"):
            validate_builder(builder)


GPAW = {'calculator': 'gpaw', 'parameters': {'mode': {'name': 'pw', 'ecut': 300}, 'kpts': [2, 2, 2]}}


def test_another_method_labels_for_a_student(build, fake_code):
    """As GPAW does for a student whose teacher, which is not run itself, only moves the atoms."""
    teacher = {'kind': 'pretrained', **CHGNET, 'md': False}
    pod = {'kind': 'distilled', 'teacher': 'chgnet', 'label_settings': GPAW}
    codes = {'label': fake_code('hdiff.label', label='gpaw').full_label}
    builder = build({'chgnet': teacher, 'pod': pod}, codes=codes)
    assert set(builder.codes) == {'lammps', 'engine', 'label'}
    assert builder.training.plan['pod']['label_settings'].get_dict() == GPAW
    assert builder.training.plan['chgnet']['md'].value is False
    counts = study_plan(builder)
    assert (counts['trainings'], counts['runs']) == (2, 2)
    assert set(build({'chgnet': teacher, 'pod': pod}).codes) == {'lammps', 'engine'}
    wrong = {'label': fake_code('hdiff.vasp_md', label='vasp').full_label}
    for changed, kwargs, message in [
        ({'chgnet': teacher}, {}, '`md` is false for all potentials'),
        ({'chgnet': teacher, 'pod': {**pod, 'label_settings': {'calculator': 'gpwa'}}}, {}, "`calculator` is 'gpwa'"),
        ({'chgnet': teacher, 'pod': pod}, {'codes': wrong}, '`codes.label` is set up for'),
        ({'chgnet': {**teacher, 'label_settings': GPAW}}, {}, '`label_settings` is of no use for'),
    ]:
        with pytest.raises(ValueError) as caught:
            build(changed, **kwargs)
        assert message in str(caught.value)


def test_nodes_by_label(build):
    named = orm.Int(3)
    named.label = 'my-frames'
    named.store()
    with pytest.raises(ValueError, match='node my-frames is a Int, not a data set'):
        build({'scratch': SCRATCH}, {'dataset': {'node': 'my-frames'}})
    second = orm.Int(4)
    second.label = 'my-frames'
    second.store()
    message = f"`node` 'my-frames' is the label of the nodes {named.pk}, {second.pk}: give the PK of one"
    with pytest.raises(ValueError, match=message):
        build({'scratch': SCRATCH}, {'dataset': {'node': 'my-frames'}})


def test_codes(build, fake_code):
    with pytest.raises(ValueError, match=r"code 'no@where' is not set up: run `aiida-hdiff setup`, or name another in"):
        build({'scratch': SCRATCH}, codes={'mace': 'no@where'})
    with pytest.raises(ValueError, match=r'`codes.mace` is set up for .hdiff.vasp_md.: give one whose default plugin'):
        build({'scratch': SCRATCH}, codes={'mace': fake_code('hdiff.vasp_md', label='of-vasp').full_label})
