"""Statistics of data sets against numbers that are known or calculated otherwise."""

import json
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.units import GPa

from aiida_hdiff.formats import LabelledFrame, LabelledFrames
from aiida_hdiff.sampling import dataset_statistics


def frame(positions=((0, 0, 0), (2, 0, 0)), symbols='MgH', energy=-3.0, cell=6.0, **changes):
    atoms = Atoms(symbols, positions=positions, cell=[cell] * 3, pbc=True)
    values = {'forces': np.zeros((len(atoms), 3)), 'origin': '', 'reference': 'PBE', **changes}
    return LabelledFrame(
        numbers=atoms.numbers.astype(np.int64), positions=atoms.positions, cell=np.array(atoms.cell), energy=energy, **values
    )  # fmt: skip


def statistics_of(*frames, **settings):
    return dataset_statistics(LabelledFrames.from_frames(frames), **settings)


def test_energies_by_composition():
    rng = np.random.default_rng(1)
    energies = {'MgH': rng.normal(size=7), 'MgHH': rng.normal(size=4)}
    positions = {'MgH': ((0, 0, 0), (2, 0, 0)), 'MgHH': ((0, 0, 0), (2, 0, 0), (0, 2, 0))}
    frames = [
        frame(np.array(positions[name]) + 0.01 * index, name, energy, 6.0 + index)
        for name, values in energies.items()
        for index, energy in enumerate(values)
    ]
    found = statistics_of(*frames)
    assert (found['n_frames'], found['n_atoms']) == (11, 26)
    assert found['elements'] == {'H': 15, 'Mg': 11}
    for name, formula in (('MgH', 'HMg'), ('MgHH', 'H2Mg')):
        per_atom = energies[name] / len(positions[name])
        own = found['compositions'][formula]
        assert own['n_frames'] == len(per_atom)
        assert own['energy_eV_per_atom'] == pytest.approx(
            {'mean': per_atom.mean(), 'std': per_atom.std(), 'min': per_atom.min(), 'max': per_atom.max()}
        )
        volumes = (6.0 + np.arange(len(per_atom))) ** 3 / len(positions[name])
        assert own['volume_A3_per_atom']['mean'] == pytest.approx(volumes.mean())
    assert found['cells']['n_different'] == 7
    assert found['cells']['lengths_A']['b'] == [6.0, 12.0]
    assert found['warnings'] == []
    json.dumps(found)


def test_forces_by_element_and_pressure():
    forces = np.array([[3.0, 4.0, 0.0], [-3.0, -4.0, 0.0]])
    stress = np.array([1.0, 2.0, 3.0, 0.0, 0.0, 0.0]) * GPa
    found = statistics_of(
        frame(forces=forces, stress=stress),
        frame(positions=((0, 0, 0), (2.1, 0, 0))),
    )
    hydrogen = found['forces_eV_A']['H']
    assert hydrogen == pytest.approx(
        {
            'n_atoms': 2, 'rms_component': np.sqrt(25 / 6), 'mean_length': 2.5,
            'percentile_99_length': np.percentile([5.0, 0.0], 99), 'max_length': 5.0,
        }
    )  # fmt: skip
    assert found['stress_GPa']['n_frames'] == 1
    assert found['stress_GPa']['pressure']['mean'] == pytest.approx(-2.0, rel=1e-6)
    assert found['stress_GPa']['components']['zz']['mean'] == pytest.approx(3.0, rel=1e-6)
    assert found['warnings'] == ['only 1 of 2 frames have a stress']


def test_origins_groups_and_temperatures():
    frames = [frame(((0, 0, 0), (2 + 0.1 * i, 0, 0)), origin=f'hot_600K:{step}') for i, step in enumerate((0, 10, 40))]
    frames += [frame(((0, 0, 0), (0, 0, 2)), origin='x', config_type='bulk', reference='PBE')]
    found = statistics_of(*frames)
    assert found['temperatures_K']['of_runs'] == {'600': 3}
    assert found['temperatures_K']['n_frames'] == 3
    assert found['runs']['n'] == 2
    assert found['runs']['n_frames_without_step'] == 1
    assert found['runs']['largest'][0] == {
        'name': 'hot_600K', 'n_frames': 3, 'first_step': 0, 'last_step': 40, 'median_spacing_steps': 20.0,
    }  # fmt: skip
    assert found['runs']['largest'][1]['median_spacing_steps'] is None
    assert found['config_types'] == {'': 3, 'bulk': 1}
    assert found['references'] == {'PBE': 4}
    assert len(statistics_of(*frames, n_listed=1)['runs']['largest']) == 1


def test_what_is_doubtful_is_said():
    unbalanced = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    frames = [
        frame(),
        frame(energy=-3.5, reference='SCAN'),
        frame(((0, 0, 0), (0.9, 0, 0))),
        frame(((0, 0, 0), (5.2, 0, 0)), origin='here', forces=unbalanced),
        frame(((0, 0, 0), (0, 0, 2)), scf_converged=False),
    ]
    found = statistics_of(*frames)
    duplicates = found['duplicates']
    assert duplicates == {
        'n_structures': 4, 'n_superfluous': 1, 'largest_energy_difference_eV': 0.5, 'groups': [[0, 1]],
    }  # fmt: skip
    contacts = found['contacts']
    # The fourth is near through the boundary of the cell: 0.8 Å.
    assert [(one['frame'], one['pair']) for one in contacts['frames']] == [(3, ['H', 'Mg']), (2, ['H', 'Mg'])]
    assert contacts['shortest_A']['H-Mg'] == {'distance_A': pytest.approx(0.8), 'frame': 3}
    assert contacts['n_frames'] == 2
    assert statistics_of(*frames, contact_fraction=0.3)['contacts']['n_frames'] == 0
    assert found['doubtful_labels'] == {
        'n_frames': 2, 'n_not_converged': 1,
        'frames': [{'frame': 3, 'origin': 'here', 'reasons': ['net force']}, {'frame': 4, 'origin': '', 'reasons': ['scf not converged']}],
    }  # fmt: skip
    assert found['warnings'] == [
        'labels of 2 references: PBE (4), SCAN (1); their energies may not belong together',
        '2 frames have atoms too near each other',
        '2 frames have doubtful labels',
        '1 frames repeat the structure of another',
    ]


def test_hydrogen_molecules_are_no_close_contacts():
    found = statistics_of(frame(((0, 0, 0), (0.74, 0, 0)), 'HH'))
    assert found['contacts']['n_frames'] == 0
    assert found['contacts']['shortest_A']['H-H']['distance_A'] == pytest.approx(0.74)


def test_molecules_and_single_atoms():
    molecule = frame(((0, 0, 0), (2, 0, 0)), pbc=(False, False, False))
    molecule = replace(molecule, cell=np.zeros((3, 3)))
    found = statistics_of(molecule, frame(((0, 0, 0),), 'H', cell=20.0))
    assert found['cells']['n_not_periodic'] == 1
    assert found['compositions']['HMg']['volume_A3_per_atom'] is None
    assert found['compositions']['H']['volume_A3_per_atom']['mean'] == pytest.approx(8000.0)
    assert found['stress_GPa'] is None
    assert found['temperatures_K']['all'] is None


def test_a_frame_of_zero_atoms_and_bad_settings():
    with pytest.raises(ValueError, match='no frames: give at least one'):
        dataset_statistics(LabelledFrames.from_frames([]))
    with pytest.raises(ValueError, match='`contact_fraction` must be positive, not 0'):
        statistics_of(frame(), contact_fraction=0)
