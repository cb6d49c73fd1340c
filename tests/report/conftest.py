"""Synthetic studies with the numbers of a real one: H in fcc Ni and H in hcp Mg."""

import math
from dataclasses import replace

import numpy as np
import pytest

from aiida_hdiff.common.units import BOLTZMANN_EV_PER_K
from aiida_hdiff.literature import LiteratureValue, load_literature
from aiida_hdiff.report.study import (
    MSDCurve,
    PotentialResult,
    Provenance,
    RDFCurve,
    StageSeries,
    Study,
    TemperatureResult,
)
from tests.report import synthetic, trained

NI_TEMPERATURES = (800.0, 900.0, 1050.0, 1200.0, 1400.0)


def uuid(number):
    return f'1f6b2c34-5d7e-4a8b-9c0d-{number:012d}'


def msd_curve(coefficient_m2_s, plateau_A2=0.25, length_ps=50.0, seed=0):
    rng = np.random.default_rng(seed)
    lags = np.arange(0.0, length_ps, 0.01)
    rattle = plateau_A2 * (1.0 - np.exp(-((lags / 0.05) ** 2)))
    diffusive = 6.0 * coefficient_m2_s * 1e8 * lags
    noise = 1.0 + 0.002 * np.cumsum(rng.normal(size=lags.size)) / 10.0
    total = (rattle + diffusive) * noise
    axes = np.stack([total / 3.0] * 3, axis=1)
    return MSDCurve(lags, total, axes)


def series(temperature_K, seed):
    rng = np.random.default_rng(seed)
    times = np.linspace(0.0, 200.0, 400)
    kelvin = temperature_K * (1.0 + 0.054 * rng.normal(size=times.size))
    energy = -4.3 + 3e-5 * rng.normal(size=times.size) + 2e-8 * times
    return (StageSeries('nve', times, kelvin, energy),)


def rdf_curves(pairs, temperatures):
    r = np.linspace(0.0, 7.0, 350)
    curves = []
    for pair, shells in pairs.items():
        for kelvin in temperatures:
            width = 0.16 * math.sqrt(kelvin / 1000.0)
            g = sum(h * np.exp(-(((r - centre) / width) ** 2) / 2) for centre, h in shells)
            g = g + 0.9 / (1.0 + np.exp(-(r - 5.0) / 0.3))
            curves.append(RDFCurve(pair, r, g, kelvin))
    return tuple(curves)


def resolved(kelvin, energy_eV, prefactor, seed=0, replica=0, relative=0.06):
    rng = np.random.default_rng(seed)
    measured = kelvin + rng.normal(0.0, 4.0)
    value = prefactor * math.exp(-energy_eV / (BOLTZMANN_EV_PER_K * measured)) * math.exp(relative * rng.normal())
    error = relative * value
    return TemperatureResult(
        temperature_K=kelvin,
        status='resolved',
        measured_temperature_K=measured,
        temperature_error_K=1.8,
        value_m2_s=value,
        std_error_m2_s=error,
        interval_m2_s=(value - 2.1 * error, value + 2.1 * error),
        n_hops=6 * value * 1e8 * 200 * 4 / 6.2,
        window_ps=(2.0, 10.0),
        drift_meV_per_atom_per_ns=0.02,
        production_ps=200.0,
        mean_volume_A3=1210.0 + 0.1 * kelvin,
        lattice={'a': 3.52 + 6e-5 * kelvin},
        replica=replica,
        node_uuid=uuid(int(kelvin) + replica),
        process_uuid=uuid(int(kelvin) + replica + 5000),
        msd=msd_curve(value, seed=seed),
        series=series(measured, seed),
    )


def nickel_potential(label='EAM Angelo 1995', replicas=1, temperatures=NI_TEMPERATURES, seed=0):
    results = tuple(
        resolved(kelvin, 0.44, 1.76e-6, seed=seed + 17 * number + 1000 * copy, replica=copy)
        for number, kelvin in enumerate(temperatures)
        for copy in range(replicas)
    )
    sigma_energy, sigma_log = 0.017, 0.19
    return PotentialResult(
        label=label,
        architecture='eam',
        sha256='9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
        node_uuid=uuid(1),
        arrhenius_uuid=uuid(2),
        activation_energy_eV=0.4402,
        activation_energy_error_eV=sigma_energy,
        prefactor_m2_s=1.76e-6,
        log_prefactor_error=sigma_log,
        covariance=(
            (sigma_log**2, 0.97 * sigma_energy * sigma_log),
            (0.97 * sigma_energy * sigma_log, sigma_energy**2),
        ),
        chi2=2.6,
        dof=3,
        temperatures=results,
        rdf=rdf_curves({'Ni-Ni': ((2.5, 3.6), (4.35, 1.9)), 'Ni-H': ((1.78, 2.9), (3.1, 1.6))}, (800.0, 1400.0)),
    )


def nickel():
    return Study(
        title='Hydrogen diffusion in nickel',
        label='quickstart',
        system='H in fcc Ni',
        host='Ni',
        composition={'Ni': 108, 'H': 4},
        protocol='demo',
        created='2025-01-15 10:20 UTC',
        settings={'time step': '1 fs', 'NpT': '40 ps', 'NVT': '40 ps', 'NVE': '200 ps', 'seed': '42'},
        is_demonstration=True,
        demonstration_text=(
            'These runs are short. The potential gives a D about twice the measured one at 1200 K: '
            'this is a property of the potential, not an error of the workflow.'
        ),
        potentials=(nickel_potential(),),
        literature=load_literature('Ni')[:4],
        provenance=Provenance(
            workchain_uuid=uuid(7),
            workchain_pk=1234,
            node_counts={'CalcJobNode': 15, 'CalcFunctionNode': 12, 'WorkChainNode': 21, 'Data': 160},
            software_versions={'aiida-core': '2.9.0', 'aiida-hdiff': '0.1.0', 'LAMMPS': '2 Aug 2023'},
        ),
    )


def magnesium():
    """Return a study with everything that can go wrong."""
    temperatures = (300.0, 480.0, 673.0)
    bound = TemperatureResult(
        temperature_K=300.0,
        status='not_resolved',
        reason='3 hops in 1000 ps, at least 10 are needed',
        measured_temperature_K=302.4,
        temperature_error_K=1.1,
        upper_bound_m2_s=8.8e-12,
        n_hops=3.0,
        window_ps=(2.0, 10.0),
        production_ps=1000.0,
        node_uuid=uuid(300),
        msd=msd_curve(4e-13),
    )
    failed = TemperatureResult(
        temperature_K=900.0,
        status='failed',
        reason='exit code 412: the energy is not a number <NaN & co>',
        process_uuid=uuid(900),
    )
    mace = PotentialResult(
        label='MACE $fine-tuned$ <b>v1</b>',
        architecture='mace',
        node_uuid=uuid(11),
        activation_energy_eV=0.25,
        activation_energy_error_eV=0.031,
        prefactor_m2_s=1.6e-6,
        log_prefactor_error=0.62,
        covariance=((0.62**2, 0.97 * 0.62 * 0.031), (0.97 * 0.62 * 0.031, 0.031**2)),
        chi2=1.9,
        dof=1,
        missing=((300.0, 'not resolved'), (900.0, 'exit code 412')),
        temperatures=(
            bound,
            *(
                resolved(kelvin, 0.25, 1.6e-6, seed=int(kelvin) + copy, replica=copy, relative=0.12)
                for kelvin in (480.0, 673.0)
                for copy in range(3)
            ),
            failed,
        ),
        rdf=rdf_curves({'Mg-H': ((1.95, 2.4),), 'H-H': ((2.6, 1.8),)}, temperatures),
    )
    chgnet = PotentialResult(
        label='CHGNet 0.3.0',
        architecture='chgnet',
        missing=((300.0, 'not resolved'), (480.0, 'not resolved')),
        temperatures=(
            replace(bound, node_uuid=uuid(301), upper_bound_m2_s=math.inf),
            replace(bound, temperature_K=480.0, measured_temperature_K=484.0, upper_bound_m2_s=3e-10),
            resolved(673.0, 0.16, 4e-7, seed=5, relative=0.3),
        ),
    )
    student = replace(
        nickel_potential('POD student', temperatures=(480.0, 673.0)),
        chi2=0.0,
        dof=0,
        activation_energy_error_eV=math.nan,
    )
    return Study(
        title='H in Mg <script>alert(1)</script>',
        label='mg & co',
        system='H in hcp Mg, MgH0.0625',
        host='Mg',
        composition={'Mg': 128, 'H': 8},
        protocol='moderate',
        created='2025-02-01',
        warnings=('H-H pairs below 3 Å are more frequent than random', 'nuclei are classical at 300 K'),
        potentials=(mace, chgnet, student),
        literature=load_literature('Mg'),
        provenance=Provenance(workchain_uuid=uuid(70)),
    )


def empty():
    """Return a study in which nothing finished."""
    return Study(title='Nothing', label='nothing', system='H in Cu', host='Cu', literature=load_literature('Cu'))


def replicated():
    """Return a study with three replicas of one potential and one of another."""
    return replace(
        nickel(),
        is_demonstration=False,
        potentials=(nickel_potential(replicas=3), nickel_potential('Other EAM', seed=77)),
    )


@pytest.fixture
def nickel_study():
    return nickel()


def full():
    """Return a study with every figure, of two potentials."""
    study = nickel()
    potentials = []
    for label in ('EAM Angelo 1995', 'MACE student'):
        potential = nickel_potential(label, seed=len(label), temperatures=(800.0, 1050.0, 1400.0))
        results = tuple(
            replace(item, details=synthetic.details(item.temperature_K, item.value_m2_s))
            for item in potential.temperatures
        )
        rdf = tuple(replace(curve, coordination=np.cumsum(curve.g * curve.r_A**2) * 0.02) for curve in potential.rdf)
        potentials.append(
            replace(potential, temperatures=results, rdf=rdf, remarks=('No sign of curvature: p = 0.41',))
        )
    potentials[1] = replace(potentials[1], trainings=(synthetic.learning_history(), synthetic.learning_curves()))
    provenance = replace(study.provenance, graphs=(synthetic.graph(),), tools=('mace', 'vasp', 'vasp-mlff'))
    return replace(study, potentials=tuple(potentials), provenance=provenance, is_demonstration=False)


HOSTILE = '<script>alert(1)</script>'


def hostile():
    """Return the full study with a hostile text wherever a user can put one."""
    study = full()
    bad = f'{HOSTILE}<b>%{{x}}</b> $x$'
    potentials = []
    for number, potential in enumerate(study.potentials):
        results = []
        for item in potential.temperatures:
            sites = replace(
                item.details.sites,
                kind_names=(bad, 'tetrahedral'),
                occupation={bad: (0.9, 0.01), 'tetrahedral': (0.1, 0.01)},
                residence_times_ps={bad: (2.0, 0.1)},
                jump_rates_per_ps={f'{bad}-{bad}': (0.5, 0.1, 12)},
            )
            path = replace(item.details.path, host_symbols=(bad,) * len(item.details.path.host_symbols))
            results.append(
                replace(item, reason=bad, details=replace(item.details, sites=sites, path=path, warnings=(bad,)))
            )
        rdf = tuple(replace(curve, pair=bad) for curve in potential.rdf)
        potentials.append(
            replace(
                potential,
                label=f'{bad} {number}',
                architecture=bad,
                temperatures=tuple(results),
                rdf=rdf,
                remarks=(bad,),
                trainings=tuple(_hostile_training(training, bad) for training in potential.trainings),
                model=trained.hostile_model(bad, number),
            )
        )
    nodes = tuple(replace(node, label=bad, note=bad) for node in synthetic.graph().nodes)
    graph = replace(synthetic.graph(), title=bad, nodes=nodes)
    return replace(
        study,
        title=HOSTILE,
        system=bad,
        host=bad,
        protocol=bad,
        warnings=(bad,),
        settings={bad: bad},
        potentials=tuple(potentials),
        literature=tuple(replace(value, citation=bad, reference=bad, kind=bad, note=bad) for value in study.literature),
        provenance=replace(study.provenance, graphs=(graph,), software_versions={bad: bad}),
    )


def _hostile_training(training, bad):
    spans = {'spans': tuple(replace(one, name=bad) for one in training.spans)} if hasattr(training, 'spans') else {}
    return replace(training, title=bad, **spans)


@pytest.fixture
def full_study():
    return full()


@pytest.fixture
def hostile_study():
    return hostile()


@pytest.fixture
def magnesium_study():
    return magnesium()


@pytest.fixture
def replica_study():
    return replicated()


@pytest.fixture
def empty_study():
    return empty()


def planned():
    """Return a study with a training plan of six potentials, one of which is left out."""
    return trained.study(
        nickel(), lambda label, seed: nickel_potential(label, seed=seed, temperatures=(800.0, 1050.0, 1400.0))
    )


@pytest.fixture
def planned_study():
    return planned()


STUDIES = {
    'nickel': nickel,
    'magnesium': magnesium,
    'replicas': replicated,
    'empty': empty,
    'full': full,
    'hostile': hostile,
    'planned': planned,
}


@pytest.fixture(params=list(STUDIES))
def any_study(request):
    return STUDIES[request.param]()


@pytest.fixture
def without_pictures(monkeypatch):
    """Leave out the pictures for readers without JavaScript, which are most of the time that a page takes."""
    monkeypatch.setattr('aiida_hdiff.report.html.make_figures', lambda study, names: {})


@pytest.fixture(scope='session')
def page_of():
    """Give a function that returns a study by name and its page, which is rendered once, three of them with pictures."""
    from aiida_hdiff.report.html import render_html

    made = {}

    def page(name):
        if name not in made:
            study = STUDIES[name]()
            with pytest.MonkeyPatch.context() as patch:
                if name not in ('nickel', 'magnesium', 'full'):
                    patch.setattr('aiida_hdiff.report.html.make_figures', lambda study, names: {})
                made[name] = (study, render_html(study))
        return made[name]

    return page


@pytest.fixture
def hostile_value():
    """Return a published value whose text is not safe in a page or a figure."""
    return LiteratureValue(
        key='x',
        host='Ni',
        phase='fcc',
        isotope='H',
        origin='experiment',
        kind='<i>kind</i>',
        transport='dilute',
        citation='A$_{ & <B> 1999',
        reference='A$_{ & <B>, J. "X" 1, 2 (1999)',
        doi='10.1000/a"b<c>',
        prefactor_m2_s=1e-7,
        activation_energy_eV=0.4,
    )
