"""Studies as short mappings: what is read, what is planned, what is refused."""

from pathlib import Path

import pytest
import yaml
from aiida import orm

from aiida_hdiff.workflows.plan import plan_seconds, study_plan
from aiida_hdiff.workflows.potentials import OWN_POTENTIALS, find_potential_file, potential_from_spec
from aiida_hdiff.workflows.study import study_builder, study_error

STUDY = {
    'structure': {'host': 'Ni', 'lattice': 'fcc', 'supercell': [3, 3, 3]},
    'hydrogen': {'n_hydrogen': 4, 'seed': 1},
    'potentials': {'eam': {'pair_style': 'eam/alloy', 'files': ['NiAlH_jea.eam.alloy']}},
    'temperatures_K': [800, 1000],
    'protocol': 'fast',
}


@pytest.fixture
def build(fake_code, monkeypatch, setfl_path):
    """Give a function that makes the builder of a study with codes that are never run."""
    codes = {'lammps': fake_code().full_label, 'engine': fake_code('hdiff.md').full_label}
    monkeypatch.setattr('aiida_hdiff.workflows.study.DEFAULT_CODES', codes)
    return lambda study, folder=Path(): study_builder(study, folder)


def test_builder(build):
    builder = build({**STUDY, 'seed': 3, 'replicas': 2, 'max_concurrent': 5, 'options': {'max_wallclock_seconds': 9}})
    assert builder.structure.get_formula() == 'H4Ni108'
    assert builder.structure.creator.process_type == 'aiida.calculations:hdiff.insert_hydrogen'
    assert builder.potentials['eam'].is_stored
    assert set(builder.codes) == {'lammps'}
    assert (builder.seed.value, builder.replicas.value, builder.max_concurrent) == (3, 2, 5)
    assert builder.options == {'max_wallclock_seconds': 9}
    assert builder.metadata.label == 'H4Ni108'
    assert builder.metadata.description == 'protocol: fast'


def test_settings_replace_those_of_the_protocol(build):
    builder = build({**STUDY, 'title': 'mine', 'settings': {'nve': {'time_ps': 200.0}}})
    assert builder.settings['nve']['time_ps'] == 200.0
    assert builder.settings['timestep_fs'] == 1.0
    assert builder.metadata.label == 'mine'


def test_structures_from_a_file_and_from_a_node(build, tmp_path, generate_structure):
    from ase.build import bulk

    bulk('Ni', 'fcc', a=3.5, cubic=True).write(tmp_path / 'ni.cif')
    builder = build({**STUDY, 'structure': {'file': 'ni.cif', 'supercell': [4, 4, 4]}}, tmp_path)
    assert builder.structure.get_formula() == 'H4Ni256'
    node = generate_structure(4).store()
    for identifier in (node.pk, node.uuid):
        study = {**STUDY, 'structure': {'node': identifier}}
        study.pop('hydrogen')
        assert build(study).structure.pk == node.pk


def test_potentials_from_nodes_and_architectures(build, generate_potential, tmp_path):
    node = generate_potential('mace').store()
    (tmp_path / 'm.model').write_bytes(b'weights')
    potentials = {
        'stored': {'node': node.pk},
        'emt': {'architecture': 'emt'},
        'mace': {'architecture': 'mace', 'file': 'm.model', 'elements': ['Ni', 'H'], 'cutoff_A': 5.0},
    }
    builder = build({**STUDY, 'potentials': potentials}, tmp_path)
    assert builder.potentials['stored'].pk == node.pk
    assert builder.potentials['emt'].architecture == 'emt'
    assert builder.potentials['mace'].label == 'm.model'
    assert set(builder.codes) == {'engine'}


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'structure': {'node': 99999999}}, '`structure.node` 99999999 is no node of this profile'),
        ({'structure': {'node': 'nonsense'}}, "`structure.node` 'nonsense' is no node of this profile"),
        ({'structure': {'file': 'no.cif'}}, "`structure.file` 'no.cif' does not exist beside the study file"),
        ({'structure': {'host': 'Ni', 'file': 'a'}}, '`structure`: '),
        ({'structure': {'host': 'Ni', 'supercell': [3, 3]}}, '`structure.supercell`: [3, 3] is too short'),
        (
            {'structure': {'host': 'Ni', 'supercel': [3, 3, 3]}},
            'unknown key `supercel` in structure. Did you mean `super',
        ),
        ({'hydrogen': {'n_hydrogen': 4, 'seeds': 1}}, 'unknown key `seeds` in hydrogen. Did you mean `seed`?'),
        ({'hydrogen': {'n_hydrogen': 4}}, "`hydrogen`: 'seed' is a required property"),
        ({'potentials': {}}, '`potentials`: '),
        ({'potentials': {'a__b': {'node': 1}}}, 'Label a potential with letters, digits and single underscores'),
        ({'potentials': {'eam': {'node': 99999999}}}, "potential 'eam': `node` 99999999 is no node of this profile"),
        ({'potentials': {'eam': {}}}, "potential 'eam': give `node`, or `pair_style` with `files`, or `architecture`"),
        (
            {'potentials': {'m': {'architecture': 'mace', 'file': 'NiAlH_jea.eam.alloy'}}},
            "potential 'm': `elements` is empty: give the symbols",
        ),
        (
            {'potentials': {'eam': {'file': 'x', 'architecture': 'gap'}}},
            "`potentials.eam.architecture`: 'gap' is not one of",
        ),
        ({'temperatures_K': 800}, "`temperatures_K`: 800 is not of type 'array'"),
        ({'seed': 1.5}, "`seed`: 1.5 is not of type 'integer'"),
        ({'settings': {'nvee': {}}}, 'unknown key `nvee`. Did you mean `nve`?'),
        (
            {'settings': {'analysis': {'window': [1, 2]}}},
            'unknown key `analysis.window`. Did you mean `analysis.window_ps`?',
        ),
        ({'codes': {'lamps': 'x'}}, 'unknown key `lamps` in codes. Did you mean `lammps`?'),
        ({'codes': {'lammps': 'no@where'}}, "code 'no@where' is not set up: run `pip install"),
        ({'qqqq': 1}, 'unknown key `qqqq` in the study. Known here: title, structure'),
    ],
)
def test_what_is_wrong_is_named(build, change, message):
    with pytest.raises(ValueError) as caught:
        build({**STUDY, **change})
    assert message in str(caught.value)


def test_a_node_of_another_type_is_refused(build):
    node = orm.Int(5).store()
    with pytest.raises(ValueError, match=f'`structure.node` {node.pk} is a Int, not a StructureData'):
        build({**STUDY, 'structure': {'node': node.pk}})
    with pytest.raises(ValueError, match=f"potential 'eam': node {node.pk} is a Int, not a potential"):
        build({**STUDY, 'potentials': {'eam': {'node': node.pk}}})


def test_a_structure_file_that_cannot_be_read(build, tmp_path):
    (tmp_path / 'a.cif').write_text('nothing')
    with pytest.raises(ValueError, match=r"`structure.file` 'a.cif' cannot be read by ASE") as caught:
        build({**STUDY, 'structure': {'file': 'a.cif'}}, tmp_path)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize('study', [None, [], 'text', 5])
def test_a_study_is_a_mapping(study):
    assert study_error(study).startswith('the study must be a mapping with `structure`')


def test_the_plan_counts_steps_and_disk(build):
    builder = build({**STUDY, 'replicas': 3})
    plan = study_plan(builder)
    assert plan['runs'] == 6
    assert plan['jobs'] == 18
    assert plan['steps_per_run'] == 30_000 + 40_000 + 400_000
    assert plan['simulated_ps'] == pytest.approx(6 * 470.0)
    assert plan['atom_steps'] == 6 * 470_000 * 112
    frames = 30_000 // 50 + 40_000 // 50 + 400_000 // 20
    assert 6 * frames * 112 * 5 / 1e6 < plan['disk_MB'] < 6 * frames * 112 * 100 / 1e6
    assert plan_seconds(builder) > 60


def test_every_architecture_has_a_cost():
    from aiida_hdiff.data.potential import ARCHITECTURES
    from aiida_hdiff.workflows.plan import SECONDS_PER_ATOM_STEP

    assert set(SECONDS_PER_ATOM_STEP) == {*ARCHITECTURES, 'pod'}


def test_potential_files_are_found_beside_the_study_before_those_of_lammps(tmp_path, setfl_path):
    assert find_potential_file(setfl_path.name, tmp_path) == setfl_path
    (tmp_path / setfl_path.name).write_text('mine')
    assert find_potential_file(setfl_path.name, tmp_path) == (tmp_path / setfl_path.name).resolve()
    assert find_potential_file(str(setfl_path), tmp_path) == setfl_path.resolve()
    with pytest.raises(ValueError, match=r"potential file 'no.eam' does not exist beside the study file"):
        find_potential_file('no.eam', tmp_path)


def test_equal_potentials_are_stored_once(setfl_path, tmp_path):
    (tmp_path / 'copy.eam').write_bytes(setfl_path.read_bytes())
    specs = [{'pair_style': 'eam/alloy', 'files': [name]} for name in (setfl_path.name, 'copy.eam')]
    assert len({potential_from_spec(spec, tmp_path).pk for spec in specs}) == 1


def test_own_published_values_are_compared_too(build, tmp_path):
    shipped = build(STUDY).literature
    assert 'ni_voelkl_alefeld_1975' in shipped or len(shipped) > 3
    entry = {
        'key': 'ours-2026', 'host': 'Ni', 'phase': 'fcc', 'isotope': 'H', 'origin': 'experiment', 'kind': 'permeation',
        'transport': 'dilute', 'citation': 'we', 'reference': 'our notebook', 'prefactor_m2_s': 5.0e-7,
        'activation_energy_eV': 0.41, 'temperature_range_K': [400.0, 900.0],
    }  # fmt: skip
    (tmp_path / 'values.yaml').write_text(yaml.safe_dump([entry]))
    builder = build({**STUDY, 'literature': 'values.yaml'}, tmp_path)
    assert set(builder.literature) == {*shipped, 'ours_2026'}
    assert builder.literature['ours_2026'].is_stored
    assert build(STUDY).literature.keys() == shipped.keys()


@pytest.mark.parametrize(
    ('content', 'message'),
    [(None, 'does not exist beside the study file'), ('- {key: x}', "'x'"), ('text', 'expected a list')],
)
def test_bad_files_of_published_values(build, tmp_path, content, message):
    if content is not None:
        (tmp_path / 'values.yaml').write_text(content)
    with pytest.raises(ValueError, match=message):
        build({**STUDY, 'literature': 'values.yaml'}, tmp_path)


def test_the_shipped_potential_names_its_origin(aiida_profile_clean):
    spec = {'pair_style': 'pod', 'files': ['mg_h_pbe.pod', 'mg_h_pbe_coefficients.pod'], 'cutoff_A': 5.5}
    potential = potential_from_spec(spec, Path())
    record = yaml.safe_load((OWN_POTENTIALS / 'mg_h_pbe.yaml').read_text(encoding='utf-8'))
    assert potential.sha256 == record['sha256']
    assert potential.label == 'POD for H in hcp Mg (PBE)'
    assert yaml.safe_load(potential.description) == record
    assert set(potential.elements) == {'H', 'Mg'}
    files = [OWN_POTENTIALS / name for name in (*spec['files'], 'mg_h_pbe.yaml')]
    assert sum(file.stat().st_size for file in files) < 100_000
