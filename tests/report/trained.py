"""A study like the reference study: several potentials of different kinds, one of which fails its check."""

from dataclasses import replace

import numpy as np

from aiida_hdiff.report.models import Gate, ModelRecord, Parity, SetErrors, Training

REASON = 'RMSE of the forces is 310 meV/Å, the limit is 200 meV/Å'


def parity(scale, seed=0, frames=120, hydrogens=4, hosts=108):
    """Return labels and predictions whose errors are proportional to `scale`."""
    rng = np.random.default_rng(seed)

    def pair(name, unit, labels, error):
        return Parity(name, unit, labels, labels + scale * error * rng.standard_t(5, size=labels.size))

    return (
        pair('energy', 'meV/atom', rng.normal(0.0, 18.0, frames), 0.3),
        pair('forces on H', 'eV/Å', rng.normal(0.0, 0.9, 3 * frames * hydrogens), 0.05),
        pair('forces on Ni', 'eV/Å', rng.normal(0.0, 0.7, 3 * frames * hosts), 0.03),
        pair('stress', 'GPa', rng.normal(0.0, 1.2, 6 * frames), 0.05),
    )


def errors(values, **scales):
    """Return the errors by set that belong to labels and predictions."""
    energy, hydrogen, host, stress = (one.rmse for one in values)
    found = {}
    for name, scale in {'test': 1.0, **scales}.items():
        found[name] = SetErrors(
            n_frames=120,
            energy_meV_per_atom=3.0 * scale * energy,
            energy_shifted_meV_per_atom=scale * energy,
            force_meV_A=1000.0 * scale * (0.04 * hydrogen**2 + 0.96 * host**2) ** 0.5,
            stress_GPa=scale * stress,
            force_by_element_meV_A={'H': 1000.0 * hydrogen, 'Ni': 1000.0 * host} if name == 'test' else {},
        )
    return found


def training(strategy, program, seconds):
    return Training(
        strategy=strategy,
        n_frames={'train': 960, 'valid': 120, 'test': 120},
        datasets={name: f'NiH on the fly ({name}), labels pbe' for name in ('train', 'valid', 'test')},
        split='split by blocks, seed 1',
        epochs=60,
        best_epoch=57,
        seed=7,
        seconds=seconds,
        versions={program: '0.3.16', 'torch': '2.13.0'},
        node_uuid='5f6b2c34-5d7e-4a8b-9c0d-000000000001',
    )


def study(base, potential):
    """Return the trained study; `base` gives everything else, `potential(label, seed)` a potential with its runs."""
    plan = (
        ('MACE_FT', 'mace', 'fine_tuned', 1.0, training('naive_fine_tuning', 'mace-torch', 5321.0), 1.15, 41.0),
        ('MACE_TR', 'mace', 'from_scratch', 0.9, training('from_scratch', 'mace-torch', 9120.0), 0.97, 44.0),
        ('CHGNet_FT', 'chgnet', 'fine_tuned', 2.4, training('fine_tuning', 'chgnet', 812.0), 0.55, 12.0),
        ('CHGNet_MP', 'chgnet', 'pretrained', 16.0, None, 3.4, 12.0),
        ('POD student', 'pod', 'distilled', 1.7, training('distillation', 'LAMMPS', 61.0), 1.31, 3100.0),
    )
    made = []
    for number, (label, architecture, kind, scale, record, factor, speed) in enumerate(plan):
        values = parity(scale, seed=number)
        splits = {'held_out': 0.97, 'path': 1.1} if kind == 'distilled' else {'valid': 0.97}
        sets = {**splits, 'train': 0.85} if record else {}
        model = ModelRecord(
            key=label, kind=kind, errors=errors(values, **sets), gate=Gate(passed=True), training=record,
            parity=values, steps_per_s=speed, evaluation_uuid=f'1f6b2c34-5d7e-4a8b-9c0d-00000000007{number}',
        )  # fmt: skip
        one = potential(label, 11 * number)
        results = tuple(
            replace(
                item,
                value_m2_s=factor * item.value_m2_s,
                std_error_m2_s=factor * item.std_error_m2_s,
                msd=None,
                series=(),
            )
            for item in one.temperatures
        )
        shift = tuple(
            replace(curve, r_A=curve.r_A, g=np.interp(curve.r_A - 0.03 * number, curve.r_A, curve.g))
            for curve in one.rdf
        )
        made.append(
            replace(
                one, architecture=architecture, model=model, temperatures=results, rdf=shift,
                prefactor_m2_s=factor * one.prefactor_m2_s,
            )
        )  # fmt: skip
    bad = parity(9.0, seed=99)
    failed = ModelRecord(
        key='MACE_MP', kind='pretrained', errors=errors(bad), gate=Gate(passed=False, reasons=(REASON,)), parity=bad
    )
    left_out = replace(
        potential('MACE_MP', 99), architecture='mace', model=failed, temperatures=(), rdf=(), missing=(),
        activation_energy_eV=None, activation_energy_error_eV=None, prefactor_m2_s=None, covariance=None, chi2=None,
        log_prefactor_error=None, dof=None, arrhenius_uuid=None,
    )  # fmt: skip
    made.insert(3, left_out)
    return replace(base, potentials=tuple(made), is_demonstration=False)


def hostile_model(bad, number):
    """Return a record with a text wherever a user can put one; the second potential is left out."""
    record = training(bad, bad, 10.0)
    values = tuple(replace(one, name=bad, unit=bad) for one in parity(1.0, frames=12))
    found = {
        name: replace(one, force_by_element_meV_A={bad: 40.0})
        for name, one in errors(parity(1.0, frames=12), valid=0.9).items()
    }
    return ModelRecord(
        key=f'{bad} {number}',
        kind=bad,
        errors=found,
        gate=Gate(passed=number == 0, reasons=(bad,) if number else ()),
        training=replace(record, datasets={'train': bad}, split=bad),
        parity=values,
        steps_per_s=10.0,
    )
