"""Inputs of `fitpod`, and what a fit and its evaluation write."""

import numpy as np
import pytest
from ase.neighborlist import primitive_neighbor_list

from aiida_hdiff.common.units import EV_PER_ANGSTROM3_IN_GPA, GPA_IN_BAR
from aiida_hdiff.formats import LabelledFrame, pod
from aiida_hdiff.formats.lammps import restricted_triclinic
from aiida_hdiff.formats.pod import PodSettings
from aiida_hdiff.formats.pod_evaluation import frame_data, read_evaluation


def test_presets_differ_in_what_they_say():
    small, default, large = (PodSettings.from_dict({'preset': name}) for name in ('small', 'default', 'large'))
    assert (small.rcut_A, small.fourbody_radial) == (5.0, 0)
    assert default == PodSettings()
    assert large.twobody_radial > default.twobody_radial
    assert PodSettings.from_dict({'preset': 'small', 'rcut_A': 4.0}).rcut_A == 4.0
    assert PodSettings.from_dict(small.as_dict()) == small


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'rcut': 5.0}, 'unknown setting `rcut`: did you mean `rcut_A`'),
        ({'preset': 'tiny'}, "`preset` is 'tiny': choose one of small, default, large"),
        ({'rcut_A': 0.5}, '`rcut_A` is 0.5: give more than `rin_A`'),
        ({'rcut_A': float('nan')}, '`rcut_A` is nan: give a positive number'),
        ({'twobody_radial': 0}, '`twobody_radial` is 0: give a whole number of at least 1'),
        ({'twobody_radial': True}, '`twobody_radial` is True'),
        ({'threebody_radial': 9}, '`threebody_radial` is 9: LAMMPS wants at most `twobody_radial`, 6'),
        ({'fourbody_angular': 5}, '`fourbody_angular` is 5: LAMMPS wants at most `threebody_angular`, 4'),
        ({'threebody_angular': 13}, '`threebody_angular` is 13: LAMMPS has at most 12'),
        ({'regularisation': 0}, '`regularisation` is 0: give a positive number'),
    ],
)
def test_settings_that_are_refused(values, message):
    with pytest.raises(ValueError, match=message.replace('(', r'\(')):
        PodSettings.from_dict(values)


def frame(positions, cell):
    return LabelledFrame(
        numbers=np.array([28, 1]), positions=np.array(positions), cell=np.array(cell), energy=-1.0,
        forces=np.zeros((2, 3)), stress=np.ones(6), origin='md:0', reference='eam', pbc=(True, True, True),
    )  # fmt: skip


def test_frames_are_wrapped_and_stay_the_same_crystal():
    cell = [[4.0, 0.0, 0.0], [1.0, 4.0, 0.0], [0.3, -0.5, 5.0]]
    given = frame([[9.0, -3.0, 12.0], [-0.1, 0.2, 0.3]], cell)
    (found,) = pod.wrapped([given])
    scaled = found.positions @ np.linalg.inv(found.cell)
    assert ((scaled >= 0.0) & (scaled < 1.0)).all()
    assert (found.origin, found.stress) == ('', None)
    lengths = [np.sort(primitive_neighbor_list('d', one.pbc, one.cell, one.positions, 6.0)) for one in (given, found)]
    np.testing.assert_allclose(*lengths, atol=1e-12)


def test_files_of_a_fit(file_regression):
    settings = PodSettings.from_dict({'preset': 'small', 'energy_weight': 50.0})
    file_regression.check(pod.param_file(settings, ['H', 'Ni']) + '\n' + pod.data_file(settings, 'train'))


def test_coefficients():
    np.testing.assert_array_equal(pod.read_coefficients('model_coefficients: 2 0 0\n1.5\n-2e-3\n'), [1.5, -2e-3])
    assert np.isnan(pod.read_coefficients('model_coefficients: 2 0 0\n1.5\n-nan\n')).tolist() == [False, True]
    with pytest.raises(ValueError, match='has 1 of 2 coefficients'):
        pod.read_coefficients('model_coefficients: 2 0 0\n1.5\n')
    for text in ('', 'LAMMPS', 'model_coefficients: x 0 0\n1'):
        with pytest.raises(ValueError, match=r'no.* a file of coefficients'):
            pod.read_coefficients(text)


def test_errors_of_the_fit():
    table = (
        'a.xyz  50  1451  0.000375  0.000472  0.019240  0.025754\nAll files  50  1451  0.1  0.000472  0.2  0.025754\n'
    )
    assert pod.read_fit_errors(table) == pytest.approx({'energy_rmse_meV_per_atom': 0.472, 'force_rmse_meV_A': 25.754})
    with pytest.raises(ValueError, match='has no row of all files'):
        pod.read_fit_errors('a.xyz  50')


def written(forces, stress, cell):
    """Return what LAMMPS would print of a frame: in its own orientation, with pressures in bar."""
    _, rotation = restricted_triclinic(cell)
    tensor = stress[np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])]
    turned = -(rotation.T @ tensor @ rotation) * GPA_IN_BAR * EV_PER_ANGSTROM3_IN_GPA
    pressures = turned[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    rows = '\n'.join(' '.join(f'{x:.16g}' for x in row) for row in forces @ rotation)
    header = f'ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n{len(forces)}\nITEM: BOX BOUNDS xy xz yz pp pp pp\n0 1 0\n'
    return ' '.join(f'{x:.16g}' for x in (-3.25, *pressures)), header + f'ITEM: ATOMS fx fy fz\n{rows}\n'


def test_an_evaluation_is_turned_back():
    rng = np.random.default_rng(1)
    cells = [4.0 * np.eye(3) + rng.normal(0.0, 0.5, (3, 3)) for _ in range(2)]
    forces, stresses = [rng.normal(size=(n, 3)) for n in (2, 5)], rng.normal(size=(2, 6))
    texts = [written(*one) for one in zip(forces, stresses, cells, strict=True)]
    energies, tables = '\n'.join(one for one, _ in texts), ''.join(one for _, one in texts)
    found = read_evaluation(energies, tables, cells)
    for one, force, stress in zip(found, forces, stresses, strict=True):
        assert one.energy == -3.25
        np.testing.assert_allclose(one.forces, force, atol=1e-12)
        np.testing.assert_allclose(one.stress, stress, atol=1e-12)
    with pytest.raises(ValueError, match='2 of 3 frames are evaluated'):
        read_evaluation(energies, tables, [*cells, cells[0]])
    with pytest.raises(ValueError, match='of 15 components of forces'):
        read_evaluation(energies, tables[: tables.rstrip().rfind(' ')] + '\n', cells)


def test_left_handed_cells_are_refused():
    with pytest.raises(ValueError, match='left-handed'):
        frame_data([1], [1.0], -np.eye(3), np.zeros((1, 3)))
