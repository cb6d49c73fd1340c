"""Stays, jumps, rates and D of walks on the sites of fcc, bcc and hcp whose rates are known."""

import numpy as np
import pytest
from ase.build import bulk

from aiida_hdiff.analysis import (
    correlation_factor,
    diffusion_coefficient,
    find_jumps,
    find_sites,
    find_stays,
    jump_diffusion,
    nearest_sites,
    site_statistics,
)
from tests.analysis.site_walks import neighbours, site_walk, with_vibration

UNIT = 1e-8
A_FCC, A_BCC, A_HCP, C_HCP = 3.6, 3.3, 3.2, 5.2
TIMESTEP = 0.02
TIMESTEP_FS = 20.0


def crystal(lattice):
    atoms = {
        'fcc': bulk('Ni', 'fcc', a=A_FCC, cubic=True) * (3, 3, 3),
        'bcc': bulk('Nb', 'bcc', a=A_BCC, cubic=True) * (3, 3, 3),
        'hcp': bulk('Mg', 'hcp', a=A_HCP, c=C_HCP) * (3, 3, 2),
    }[lattice]
    return find_sites(atoms.positions, atoms.cell.array)


def positions_of(sites, kind):
    return sites.positions[sites.kinds == sites.kind_names.index(kind)]


def analyse(positions, sites, **settings):
    stays = find_stays(positions, sites, **settings)
    return stays, find_jumps(stays, sites, TIMESTEP_FS)


def diffusion(jumps, positions):
    return jump_diffusion(jumps, *positions.shape[:2], TIMESTEP_FS)


@pytest.fixture(scope='module')
def fcc_run():
    """Octahedral sites of fcc, 0.1 per ps to each of twelve neighbours, with vibrations of 0.2 Å."""
    rng = np.random.default_rng(7)
    sites = crystal('fcc')
    path, n_jumps = site_walk(
        rng, positions_of(sites, 'octahedral'), sites.cell, {A_FCC / 2**0.5: 0.1}, 15_000, 4, TIMESTEP
    )
    return sites, path, n_jumps, with_vibration(rng, path, TIMESTEP, 0.2)


def test_fcc_octahedral_walk(fcc_run):
    """D = Γ a²/12 and f = 1 for a random walk on the octahedral sites."""
    sites, _, n_jumps, positions = fcc_run
    stays, jumps = analyse(positions, sites)
    exact = 12 * 0.1 * A_FCC**2 / 12 * UNIT
    result = diffusion(jumps, positions)
    assert len(jumps) == pytest.approx(n_jumps, rel=0.03)
    assert abs(result.value - exact) < 3.5 * result.std_error
    assert result.std_error == pytest.approx(exact / n_jumps**0.5, rel=0.4)
    assert np.all(np.abs(result.per_axis - exact) < 3.5 * result.per_axis_std_error)
    assert result.per_axis.mean() == pytest.approx(result.value)
    assert jumps.mean_length_A == pytest.approx(A_FCC / 2**0.5, rel=0.01)
    value, error = correlation_factor(jumps, positions, TIMESTEP_FS, window_ps=(2.0, 10.0))
    assert abs(value - 1.0) < 3.5 * error
    assert error < 0.15
    statistics = site_statistics(stays, jumps, sites, TIMESTEP_FS)
    rate = statistics.rates['octahedral', 'octahedral']
    assert rate.value == pytest.approx(1.2, abs=3.5 * rate.std_error)
    assert (rate.count, rate.std_error) == (len(jumps), pytest.approx(rate.value / len(jumps) ** 0.5))
    residence, residence_error = statistics.residence_times_ps['octahedral']
    assert abs(residence - 1 / 1.2) < 3.5 * residence_error
    assert statistics.occupation_fractions['octahedral'] == (1.0, 0.0)
    assert statistics.residence_times_ps['tetrahedral'] is None
    assert statistics.occupation.sum() == pytest.approx(4.0, rel=0.01)


def test_every_jump_of_a_quiet_walk_is_found(fcc_run):
    """Without vibrations the jumps are those of the walk: their frames, vectors and images."""
    sites, path, _, _ = fcc_run
    stays, jumps = analyse(path, sites)
    moved = np.diff(path, axis=0)
    atoms, frames = np.nonzero(np.any(np.abs(moved) > 1e-9, axis=2).T)
    assert np.array_equal(jumps.atoms, atoms)
    assert np.array_equal(jumps.frames, frames + 1)
    assert jumps.times_ps == pytest.approx((frames + 1) * TIMESTEP)
    assert jumps.displacements_A == pytest.approx(moved[frames, atoms], abs=1e-6)
    same_atom = jumps.atoms[1:] == jumps.atoms[:-1]
    assert np.array_equal(jumps.to_sites[:-1][same_atom], jumps.from_sites[1:][same_atom])
    assert stays.fraction_in_cores == 1.0
    residence, error = site_statistics(stays, jumps, sites, TIMESTEP_FS).residence_times_ps['octahedral']
    assert residence == pytest.approx(path.shape[0] * path.shape[1] * TIMESTEP / len(jumps))
    assert error == pytest.approx(residence / len(jumps) ** 0.5)


def test_displacements_add_up_to_the_path(fcc_run):
    """The sum of the jumps of an atom is its net displacement, through all periodic boundaries."""
    sites, path, _, positions = fcc_run
    _, jumps = analyse(positions, sites)
    net = np.array([jumps.displacements_A[jumps.atoms == atom].sum(axis=0) for atom in range(4)])
    assert np.abs(net).max() > np.linalg.norm(sites.cell[0]) / 2
    assert net == pytest.approx(path[-1] - path[0], abs=A_FCC)
    rest = (net - (path[-1] - path[0])) @ np.linalg.inv(np.eye(3) * A_FCC / 2)
    assert rest == pytest.approx(np.round(rest), abs=1e-6)


def test_network(fcc_run):
    sites, _, _, positions = fcc_run
    _, jumps = analyse(positions, sites)
    edges, counts = jumps.network()
    assert counts.sum() == len(jumps)
    assert np.all(edges[:, 0] < edges[:, 1])
    assert len(np.unique(edges, axis=0)) == len(edges) <= 108 * 6


def test_bcc_tetrahedral_walk():
    """D = w a²/12 with w to each of the four tetrahedral neighbours at a/√8."""
    rng = np.random.default_rng(3)
    sites = crystal('bcc').select(['tetrahedral'])
    path, _ = site_walk(rng, sites.positions, sites.cell, {A_BCC / 8**0.5: 0.5}, 10_000, 4, TIMESTEP)
    _, jumps = analyse(with_vibration(rng, path, TIMESTEP, 0.1), sites)
    result = diffusion(jumps, path)
    assert abs(result.value - 0.5 * A_BCC**2 / 12 * UNIT) < 3.5 * result.std_error
    assert jumps.mean_length_A == pytest.approx(A_BCC / 8**0.5, rel=0.02)


def test_hcp_tensor():
    """Octahedral sites of hcp: D_basal = 3/2 w_a a², D_c = w_c c²/4."""
    rng = np.random.default_rng(5)
    sites = crystal('hcp')
    along_a, along_c = 0.03, 0.3
    path, _ = site_walk(
        rng, positions_of(sites, 'octahedral'), sites.cell, {A_HCP: along_a, C_HCP / 2: along_c}, 20_000, 6, TIMESTEP
    )
    positions = with_vibration(rng, path, TIMESTEP, 0.15)
    stays, jumps = analyse(positions, sites)
    result = diffusion(jumps, positions)
    exact = np.array([1.5 * along_a * A_HCP**2] * 2 + [along_c * C_HCP**2 / 4]) * UNIT
    assert np.all(np.abs(result.per_axis - exact) < 3.5 * result.per_axis_std_error)
    assert exact[2] > 3 * exact[0]
    rate = site_statistics(stays, jumps, sites, TIMESTEP_FS).rates['octahedral', 'octahedral']
    assert abs(rate.value - (6 * along_a + 2 * along_c)) < 3.5 * rate.std_error


def test_octahedral_and_tetrahedral_rates():
    """Two kinds of sites with detailed balance: rates, occupation and residence times."""
    rng = np.random.default_rng(11)
    sites = crystal('fcc')
    octahedral, tetrahedral = positions_of(sites, 'octahedral'), positions_of(sites, 'tetrahedral')
    up, down, frames = 0.05, 0.5, 25_000
    everything = np.concatenate([octahedral, tetrahedral])
    length = A_FCC * 3**0.5 / 4

    path = two_rate_walk(rng, everything, len(octahedral), sites.cell, length, up, down, frames, 4)
    positions = with_vibration(rng, path, TIMESTEP, 0.12)
    stays, jumps = analyse(positions, sites)
    found = site_statistics(stays, jumps, sites, TIMESTEP_FS)
    for pair, exact in ((('octahedral', 'tetrahedral'), 8 * up), (('tetrahedral', 'octahedral'), 4 * down)):
        assert abs(found.rates[pair].value - exact) < 3.5 * found.rates[pair].std_error + 0.02 * exact
    exact = 8 * up / (8 * up + 4 * down)
    value, error = found.occupation_fractions['tetrahedral']
    assert abs(value - exact) < 3.5 * error
    assert 0.002 < error < 0.05
    assert sum(v for v, _ in found.occupation_fractions.values()) == pytest.approx(1.0)
    assert found.occupation_per_site['tetrahedral'][0] == pytest.approx(value * 4 / 216)
    for kind, rate in (('octahedral', 8 * up), ('tetrahedral', 4 * down)):
        residence, error = found.residence_times_ps[kind]
        assert abs(residence - 1 / rate) < 3.5 * error + 0.02 / rate


def two_rate_walk(rng, positions, n_octahedral, cell, length, up, down, n_frames, n_atoms):
    table = neighbours(positions, cell, [length])
    path = np.empty((n_frames, n_atoms, 3))
    for atom in range(n_atoms):
        site, frame, time = int(rng.integers(n_octahedral)), 0, 0.0
        place = positions[site]
        while frame < n_frames:
            targets, vectors, _ = table[site]
            time += rng.exponential(1.0 / (len(targets) * (up if site < n_octahedral else down)))
            end = min(int(time / TIMESTEP) + 1, n_frames)
            path[frame:end, atom] = place
            frame = end
            choice = rng.integers(len(targets))
            place, site = place + vectors[choice], int(targets[choice])
    return path


def test_back_jumps_lower_the_correlation_factor():
    """A jump that reverses the one before with probability p has ⟨cos⟩ = -p, f = (1-p)/(1+p)."""
    rng = np.random.default_rng(17)
    sites = crystal('fcc')
    path, _ = site_walk(
        rng, positions_of(sites, 'octahedral'), sites.cell, {A_FCC / 2**0.5: 0.1}, 20_000, 6, TIMESTEP, back=0.4
    )
    positions = with_vibration(rng, path, TIMESTEP, 0.15)
    _, jumps = analyse(positions, sites)
    value, error = correlation_factor(jumps, positions, TIMESTEP_FS, window_ps=(4.0, 12.0))
    assert abs(value - 0.6 / 1.4) < 3.5 * error
    assert error < 0.06


def test_correlation_factor_of_a_given_diffusivity(fcc_run):
    sites, _, _, positions = fcc_run
    _, jumps = analyse(positions, sites)
    result = diffusion_coefficient(positions, TIMESTEP_FS, window_ps=(2.0, 10.0))
    own, error = correlation_factor(jumps, positions, TIMESTEP_FS, window_ps=(2.0, 10.0))
    given, same = correlation_factor(
        jumps, positions, TIMESTEP_FS, window_ps=(2.0, 10.0), diffusivity_m2_s=result.value
    )
    assert given == pytest.approx(result.value / diffusion(jumps, positions).value)
    assert abs(given - own) < 2 * error
    assert same == error
    unpaired = np.hypot(result.std_error / result.value, len(jumps) ** -0.5)
    assert error < 1.5 * unpaired


def test_pairing_removes_the_noise_of_the_number_of_jumps():
    """With rare jumps both D are the number of jumps; f is far better known than either."""
    rng = np.random.default_rng(23)
    sites = crystal('fcc')
    path, _ = site_walk(
        rng, positions_of(sites, 'octahedral'), sites.cell, {A_FCC / 2**0.5: 0.005}, 40_000, 4, TIMESTEP
    )
    _, jumps = analyse(path, sites)
    assert 100 < len(jumps) < 300
    value, error = correlation_factor(jumps, path, TIMESTEP_FS, window_ps=(0.5, 2.0))
    assert abs(value - 1.0) < 3.5 * error
    result = diffusion(jumps, path)
    assert error < 0.6 * result.std_error / result.value


def test_errors_are_those_of_repeats():
    """Over 40 runs the claimed errors of D and f are the scatter, within 30 %, and D has no bias."""
    sites = crystal('fcc')
    start = positions_of(sites, 'octahedral')
    rows = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        path, _ = site_walk(rng, start, sites.cell, {A_FCC / 2**0.5: 0.1}, 10_000, 4, TIMESTEP)
        positions = with_vibration(rng, path, TIMESTEP, 0.15)
        _, jumps = analyse(positions, sites)
        result = diffusion(jumps, positions)
        factor = correlation_factor(jumps, positions, TIMESTEP_FS, window_ps=(2.0, 10.0))
        rows.append((result.value, result.std_error, *factor))
    values, errors, factors, factor_errors = np.array(rows).T
    exact = 0.1 * A_FCC**2 * UNIT
    assert abs(values.mean() / exact - 1.0) < 0.01
    assert errors.mean() / values.std(ddof=1) == pytest.approx(1.0, abs=0.3)
    assert factor_errors.mean() / factors.std(ddof=1) == pytest.approx(1.0, abs=0.3)
    assert abs(factors.mean() - 1.0) < 3.5 * factors.std() / 40**0.5


def test_recrossing_of_the_border_is_no_jump(rng):
    """An atom that rattles across the border of two sites has one stay; its nearest site changes all the time."""
    sites = crystal('fcc')
    start = positions_of(sites, 'octahedral')[0]
    end = start + np.array([0.5, 0.5, 0.0]) * A_FCC
    middle = 0.5 * (start + end) - np.array([0.0, 0.0, 0.6])
    rattling = middle + rng.normal(0.0, 0.15, (2000, 3))
    path = np.concatenate([np.tile(start, (10, 1)), rattling, np.tile(start, (10, 1)), rattling, np.tile(end, (5, 1))])
    octahedral = sites.select(['octahedral'])
    stays, jumps = analyse(path[:, None], octahedral)
    assert np.count_nonzero(np.diff(nearest_sites(path[:, None], octahedral)[:, 0])) > 500
    assert len(jumps) == 1
    assert jumps.frames.tolist() == [10 + 2000 + 10 + 2000]
    assert stays.first_frames.tolist() == [0, 4020]
    assert stays.end_frames.tolist() == [4020, 4025]
    assert jumps.displacements_A[0] == pytest.approx(end - start)


def test_frames_before_the_first_core_belong_to_no_stay():
    sites = crystal('fcc').select(['octahedral'])
    start = sites.positions[0]
    path = np.concatenate([np.tile(start + 0.9, (30, 1)), np.tile(start, (70, 1))])[:, None]
    path = np.concatenate([path, np.tile(start + 0.9, (100, 1))[:, None]], axis=1)
    stays, jumps = analyse(path, sites)
    assert (stays.atoms.tolist(), stays.first_frames.tolist(), stays.end_frames.tolist()) == ([0], [30], [100])
    assert stays.fraction_in_cores == pytest.approx(70 / 200)
    statistics = site_statistics(stays, jumps, sites, TIMESTEP_FS)
    assert statistics.occupation_fractions == {'octahedral': (1.0, 0.0)}
    assert statistics.residence_times_ps == {'octahedral': None}
    assert statistics.rates == {}
    assert statistics.occupation.max() == pytest.approx(0.7)


def test_jumps_across_chunks_of_frames(fcc_run, monkeypatch):
    """The trajectory is read in pieces; their borders leave no trace."""
    from aiida_hdiff.analysis import stays

    sites, _, _, positions = fcc_run
    _, expected = analyse(positions, sites)
    monkeypatch.setattr(stays, 'CHUNK_FRAMES', 777)
    _, found = analyse(positions, sites)
    assert np.array_equal(found.frames, expected.frames)
    assert np.array_equal(found.to_sites, expected.to_sites)
    assert np.array_equal(found.displacements_A, expected.displacements_A)


def test_a_jump_to_an_image_of_the_same_site():
    sites = find_sites(bulk('Ni', 'fcc', a=3.5).positions, bulk('Ni', 'fcc', a=3.5).cell.array).select(['octahedral'])
    path = np.repeat(sites.positions + np.array([0, 1, 1, 2])[:, None] * sites.cell[0], 5, axis=0)[:, None]
    _, jumps = analyse(path, sites)
    assert jumps.frames.tolist() == [5, 15]
    assert jumps.displacements_A == pytest.approx(np.tile(sites.cell[0], (2, 1)))


def test_no_jumps():
    sites = crystal('fcc')
    path = np.tile(sites.positions[:2], (50, 1, 1))
    _, jumps = analyse(path, sites)
    result = diffusion(jumps, path)
    assert len(jumps) == 0
    assert jumps.displacements_A.shape == (0, 3)
    assert np.isnan(jumps.mean_length_A)
    assert (result.value, np.isnan(result.std_error)) == (0.0, True)
    assert [array.shape for array in jumps.network()] == [(0, 2), (0,)]
    with pytest.raises(ValueError, match='needs jumps, and there are none'):
        correlation_factor(jumps, path, TIMESTEP_FS, window_ps=(0.02, 0.1))


def test_errors(fcc_run):
    sites, _, _, positions = fcc_run
    for fraction in (0.0, 0.51, -1.0, float('nan')):
        with pytest.raises(ValueError, match=r'core_fraction must be above 0 and at most 0\.5'):
            find_stays(positions, sites, core_fraction=fraction)
    host_atom = np.zeros((20, 1, 3))
    with pytest.raises(ValueError, match=r'no atom is ever in the core.*comes to 1.56 Å, the core radius is 0.47 Å'):
        find_stays(host_atom, sites)
    with pytest.raises(ValueError, match='shape'):
        find_stays(positions[:, 0], sites)
    stays, jumps = analyse(positions, sites)
    with pytest.raises(ValueError, match='timestep_fs must be positive'):
        find_jumps(stays, sites, 0.0)
    one = find_stays(positions[:1] * 0 + sites.positions[0], sites)
    none = find_jumps(one, sites, TIMESTEP_FS)
    with pytest.raises(ValueError, match='at least two frames, not 1'):
        site_statistics(one, none, sites, TIMESTEP_FS)
    with pytest.raises(ValueError, match='at least two frames, not 1'):
        jump_diffusion(none, 1, 4, TIMESTEP_FS)
    for window in ((10.0, 2.0), (2.0, 2.0), (2.0, 31.0), (0.0, 1.0)):
        with pytest.raises(ValueError, match=r'window_ps .* tenth of the run'):
            correlation_factor(jumps, positions, TIMESTEP_FS, window_ps=window)
