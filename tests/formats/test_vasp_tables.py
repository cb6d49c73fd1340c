"""OSZICAR, ML_LOGFILE and ML_REG, from numbers that the test has written itself."""

import numpy as np
import pytest

from aiida_hdiff.formats.labelled_ml_ab import EV_PER_ANGSTROM3_IN_KBAR
from aiida_hdiff.formats.ml_logfile import read_ml_logfile
from aiida_hdiff.formats.ml_reg import read_ml_reg
from aiida_hdiff.formats.oszicar import read_oszicar

RNG = np.random.default_rng(7)
READERS = (read_oszicar, read_ml_logfile, read_ml_reg)


def fortran(value):
    """A number as VASP prints it in OSZICAR, without the zero before the point."""
    mantissa, exponent = f'{abs(value):.7E}'.split('E')
    return f'{"-" if value < 0 else ""}.{mantissa.replace(".", "")}E{int(exponent) + 1:+03d}'


ENERGIES = -150.0 + RNG.normal(size=6)
KINETIC = 1.0 + RNG.random(6)
SCF = [5, 3, 0, 0, 4, 0]


def oszicar_text():
    text = ''
    for step, (energy, kinetic, scf) in enumerate(zip(ENERGIES, KINETIC, SCF, strict=True), 1):
        if scf:
            text += '       N       E                     dE             d eps       ncg     rms          rms(c)\n'
        for iteration in range(1, scf + 1):
            text += f'DAV: {iteration:3d}    -0.150000000000E+03    0.1E+02   -0.1E+04    16   0.849E+02    0.1E+01\n'
        text += (
            f'{step:7d} T= {300 + step:5d}. E= {fortran(energy + kinetic)} F= {fortran(energy)} E0= {fortran(energy)}'
            f'  EK= {kinetic:.5E} SP= 0.00E+00 SK= 0.00E+00\n'
        )
    return text


def test_oszicar(tmp_path):
    path = tmp_path / 'OSZICAR'
    path.write_text(oszicar_text())
    table = read_oszicar(path)
    assert table.steps.tolist() == [1, 2, 3, 4, 5, 6]
    assert table.scf_steps.tolist() == SCF
    assert table.is_ml.tolist() == [False, False, True, True, False, True]
    assert not table.truncated
    np.testing.assert_allclose(table.free_energy, ENERGIES, rtol=1e-7)
    np.testing.assert_allclose(table.energy_sigma0, ENERGIES, rtol=1e-7)
    np.testing.assert_allclose(table.total_energy, ENERGIES + KINETIC, rtol=1e-7)
    np.testing.assert_allclose(table.kinetic_energy, KINETIC, rtol=1e-5)
    np.testing.assert_array_equal(table.temperature_K, 300.0 + np.arange(1, 7))
    np.testing.assert_allclose(table.temperature_from_kinetic(9) * 9 * 8.617333262e-5 / 2, KINETIC, rtol=1e-5)
    assert np.all(np.isnan(table.magnetization))


def test_oszicar_overflow_and_magnetization(tmp_path):
    path = tmp_path / 'OSZICAR'
    line = '{} T={} E= -.1E+02 F= -.2E+02 E0= -.3E+02  EK= 0.1E+01 SP= 0.00E+00 SK= 0.00E+00 mag=     1.5000\n'
    path.write_text(line.format('9999999', ' 300.') + line.format('*******', '******'))
    table = read_oszicar(path)
    assert table.steps.tolist() == [9999999, 10000000]
    assert np.isnan(table.temperature_K[1])
    assert table.magnetization.tolist() == [1.5, 1.5]
    path.write_text('   1 F= -.13401522E+04 E0= -.13397340E+04  d E =-.13402E+04\n')
    assert read_oszicar(path).free_energy.tolist() == [-1340.1522]


def test_oszicar_of_a_killed_run(tmp_path):
    path = tmp_path / 'OSZICAR'
    text = oszicar_text()
    fifth = text.index('      5 T=')
    for end in (fifth, fifth + 40):
        path.write_text(text[:end])
        with pytest.raises(ValueError, match=r'truncated.*after 4 complete ones'):
            read_oszicar(path)
        table = read_oszicar(path, allow_truncated=True)
        assert table.truncated
        np.testing.assert_allclose(table.free_energy, ENERGIES[:4], rtol=1e-7)


HEADER = """\
* MACHINE LEARNING SETTINGS ***************************
 Operation mode                                        : ML_MODE    = TRAIN
 Maximum number of abinitio structures                 : ML_MCONF   = 1500
*******************************************************
* MAIN LOOP *******************************************
# STATUS ##############################################
# STATUS nstep ..... step
# STATUS
# STATUS            nstep     state is   doabin    iff   nsample    ngenff
# STATUS                2         3  4        5      6         7         8
# STATUS ##############################################
# LCONF                nstep el nlrc_old nlrc_new el nlrc_old nlrc_new ...
# LCONF                    2  3        4        5  6        7        8 ...
# BEEF             nstep  bee_energy  bee_max_force  bee_ave_force  threshold  bee_max_stress  bee_ave_stress
# BEEF                 2           3              4              5          6               7               8
# ERR              nstep    rmse_energy     rmse_force    rmse_stress
# ERR                  2              3              4              5
# THRUPD           nstep   ctifor_prev    ctifor_new   std_rel_beef  slope_rel_beef
# THRUPD               2             3             4              5               6
"""
N_STEPS = 9000
"""More rows than are converted at once."""
BEEF = RNG.random((N_STEPS, 6))
DFT = RNG.random(N_STEPS) < 0.1


def logfile_text(end='*' * 55 + '\n* TIMING INFORMATION *********************************\n'):
    rows = ['STATUS                  0 threshold  2        T      F         0         0\n']
    for step, (errors, dft) in enumerate(zip(BEEF, DFT, strict=True), 1):
        rows.append('-' * 60 + '\n')
        state = 'threshold  2        T' if dft else 'accurate   1        F'
        rows.append(f'STATUS          {step:9d} {state}      T   {step:7d}         0\n')
        rows.append(f'BEEF            {step:9d}' + ''.join(f'{error:17.8E}' for error in errors) + '\n')
        if step % 1000 == 0:
            rows.append(f'ERR             {step:9d}  1.00000000E-03  2.00000000E-02  {step / 1000:.8E}\n')
            rows.append(f'LCONF           {step:9d} Mg {step:8d} {step + 1:8d} H  {step // 10:8d} {step // 5:8d}\n')
            rows.append(f'THRUPD          {step:9d}  2.00000000E-03  {1e-3 * step:.8E}  1.0E-01  -2.0E-02\n')
            rows.append(f'NEWKEY          {step:9d}  1.5 text\n')
    return HEADER + ''.join(rows) + end


def test_ml_logfile(tmp_path):
    path = tmp_path / 'ML_LOGFILE'
    path.write_text(logfile_text())
    log = read_ml_logfile(path)
    assert not log.truncated
    assert not log.emulated
    assert log.settings == {'ML_MODE': 'TRAIN', 'ML_MCONF': '1500'}
    assert list(log.bayesian_errors) == HEADER[HEADER.index('# BEEF') :].split('\n')[0].split()[2:]
    np.testing.assert_array_equal(log.bayesian_errors['nstep'], np.arange(1, N_STEPS + 1))
    names = list(log.bayesian_errors)[1:]
    np.testing.assert_allclose(np.transpose([log.bayesian_errors[name] for name in names]), BEEF, rtol=1e-8)
    np.testing.assert_array_equal(log.dft_steps, [0, *(1 + np.flatnonzero(DFT))])
    assert log.states == {'accurate': N_STEPS - DFT.sum(), 'threshold': 1 + DFT.sum()}
    assert log.tables['STATUS']['iff'].dtype == bool
    assert log.tables['STATUS']['iff'].sum() == N_STEPS
    np.testing.assert_array_equal(log.training_errors['rmse_stress'], np.arange(1.0, 10.0))
    np.testing.assert_allclose(log.threshold_updates['ctifor_new'], np.arange(1, 10))
    local = log.local_configurations
    assert set(local) == {'Mg', 'H'}
    np.testing.assert_array_equal(local['H'].steps, 1000 * np.arange(1, 10))
    np.testing.assert_array_equal(local['H'].after, 200 * np.arange(1, 10))
    np.testing.assert_array_equal(local['Mg'].before, 1000 * np.arange(1, 10))
    assert set(log.tables['NEWKEY']) == {'nstep', 'column_3', 'column_4'}
    assert set(log.tables['NEWKEY']['column_4']) == {'text'}
    with pytest.raises(ValueError, match=r"BEEF of ML_LOGFILE has no column 'bee', only nstep"):
        log.column('BEEF', 'bee')


def test_threshold_of_the_published_example(tmp_path):
    """The new threshold is the mean of the history; the example is that of VASP's manual."""
    path = tmp_path / 'ML_LOGFILE'
    history = [0.09, 0.1, 0.097]
    text = '* MAIN LOOP ****\n# THRHIST nstep entry beef\n# THRHIST 2 3 4\n'
    text += ''.join(f'THRHIST 7 {i} {value}\n' for i, value in enumerate(history, 1)) + '* TIMING INFORMATION ****\n'
    path.write_text(text)
    log = read_ml_logfile(path)
    assert log.column('THRHIST', 'beef').mean() == pytest.approx(np.mean(history))
    assert log.column('THRHIST', 'entry').tolist() == [1, 2, 3]
    assert log.column('BEEF', 'threshold').size == 0


def test_ml_logfile_of_prediction_alone_and_with_overflow(tmp_path):
    path = tmp_path / 'ML_LOGFILE'
    path.write_text(
        HEADER + 'STATUS 10 predict 5 F T 0 0\nBEEF 10 1.0 ****** 1 1 1 1\n* TIMING INFORMATION ***\nEMULATED\n'
    )
    log = read_ml_logfile(path)
    assert log.emulated
    assert log.states == {'predict': 1}
    assert log.dft_steps.size == 0
    assert np.isnan(log.bayesian_errors['bee_max_force'][0])


def test_ml_logfile_of_a_killed_run(tmp_path):
    path = tmp_path / 'ML_LOGFILE'
    path.write_text(logfile_text('')[:-5])
    with pytest.raises(ValueError, match=r'truncated: it ends at line .* within the main loop'):
        read_ml_logfile(path)
    log = read_ml_logfile(path, allow_truncated=True)
    assert log.truncated
    assert len(log.bayesian_errors['nstep']) == N_STEPS
    assert len(log.tables['NEWKEY']['nstep']) == 8


REG_ENERGIES = RNG.normal(size=(3, 2))
REG_FORCES = RNG.normal(size=(3 * 4 * 3, 2))
REG_STRESS = RNG.normal(size=(18, 2))


def ml_reg_text():
    def table(title, numbers):
        rows = ''.join(f'{a:17.6f}{b:12.6f}\n' for a, b in numbers)
        return '=' * 100 + f'\n     {title}\n' + '-' * 100 + '\n' + rows

    return (
        '*' * 100 + '\n     Results at         52 MD step.\n' + table('Total energies (eV)', REG_ENERGIES)
        + table('Forces (eV ang.^-1)', REG_FORCES) + table('Stress (kbar)', REG_STRESS)
    )  # fmt: skip


def test_ml_reg(tmp_path):
    path = tmp_path / 'ML_REG'
    path.write_text(ml_reg_text())
    reg = read_ml_reg(path)
    assert (reg.step, reg.truncated) == (52, False)
    np.testing.assert_allclose(reg.energies, REG_ENERGIES, atol=1e-6)
    np.testing.assert_allclose(reg.forces, REG_FORCES.reshape(-1, 3, 2), atol=1e-6)
    np.testing.assert_allclose(reg.stress * -EV_PER_ANGSTROM3_IN_KBAR, REG_STRESS.reshape(3, 6, 2), atol=1e-6)
    assert reg.rmse_forces == pytest.approx(np.sqrt(np.mean((REG_FORCES[:, 0] - REG_FORCES[:, 1]) ** 2)), rel=1e-5)
    assert reg.rmse_energy == pytest.approx(np.sqrt(np.mean((REG_ENERGIES[:, 0] - REG_ENERGIES[:, 1]) ** 2)), rel=1e-5)


def test_ml_reg_truncated_and_damaged(tmp_path):
    path = tmp_path / 'ML_REG'
    lines = ml_reg_text().splitlines(keepends=True)
    for kept, n_energies, n_forces, n_stress in ((7, 2, 0, 0), (20, 3, 3, 0), (50, 3, 12, 0), (58, 3, 12, 1)):
        path.write_text(''.join(lines[:kept]))
        with pytest.raises(ValueError, match=f'truncated: it ends at line {kept}'):
            read_ml_reg(path)
        reg = read_ml_reg(path, allow_truncated=True)
        assert reg.truncated
        assert (len(reg.energies), len(reg.forces), len(reg.stress)) == (n_energies, n_forces, n_stress)
    path.write_text(''.join(lines[:11] + lines[12:]))
    with pytest.raises(ValueError, match='3 energies, 35 components of forces and 18 of stress do not belong together'):
        read_ml_reg(path)
    path.write_text(ml_reg_text().replace(lines[12].split()[0], 'abc'))
    with pytest.raises(ValueError, match='ML_REG, line 13'):
        read_ml_reg(path)


@pytest.mark.parametrize('read', READERS)
def test_other_files_are_refused(tmp_path, read):
    path = tmp_path / 'other'
    for content in (
        b'',
        b'\0' * 1000 + b'\n',
        b'<html><body></body></html>\n',
        b'nothing of use\n' * 50,
        b'\x1f\x8bzip',
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match='other'):
            read(path)
