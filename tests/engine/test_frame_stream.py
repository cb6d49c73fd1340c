"""The binary stream of frames."""

import numpy as np
import pytest

from aiida_hdiff.formats.frame_stream import HEADER_BYTES, FrameStreamWriter, frame_dtype, read_frame_stream


def write(writer, step, *, velocities=False):
    positions = np.full((3, 3), float(step))
    writer.write(
        step,
        0.5 * step,
        -1.0,
        2.0,
        300.0,
        np.nan,
        np.eye(3),
        positions,
        positions / 10 if velocities else None,
    )


@pytest.mark.parametrize('velocities', [False, True])
def test_round_trip(tmp_path, velocities):
    path = tmp_path / 'frames.bin'
    with FrameStreamWriter(path, 3, velocities=velocities) as writer:
        for step in (0, 10, 20):
            write(writer, step, velocities=velocities)
            assert len(read_frame_stream(path)) == step // 10 + 1
    frames = read_frame_stream(path)
    assert frames['step'].tolist() == [0, 10, 20]
    assert frames['time_fs'].tolist() == [0, 5, 10]
    assert np.isnan(frames['pressure']).all()
    assert frames['positions'].shape == (3, 3, 3)
    assert frames['cell'].shape == (3, 3, 3)
    assert ('velocities' in frames.dtype.names) is velocities


@pytest.mark.parametrize('lost', [1, 50, 150])
def test_a_truncated_record_is_dropped_and_overwritten(tmp_path, lost):
    path = tmp_path / 'frames.bin'
    with FrameStreamWriter(path, 3, velocities=False) as writer:
        for step in range(3):
            write(writer, step)
    path.write_bytes(path.read_bytes()[:-lost])
    assert read_frame_stream(path)['step'].tolist() == [0, 1]
    with FrameStreamWriter(path, 3, velocities=False) as writer:
        write(writer, 2)
        write(writer, 3)
    assert read_frame_stream(path)['step'].tolist() == [0, 1, 2, 3]
    with FrameStreamWriter(path, 3, velocities=False) as writer:
        writer.discard_after(1)
        write(writer, 7)
    assert read_frame_stream(path)['step'].tolist() == [0, 1, 7]


def test_empty_stream(tmp_path):
    path = tmp_path / 'frames.bin'
    path.write_bytes(b'HD')
    FrameStreamWriter(path, 3, velocities=False).close()
    assert read_frame_stream(path).dtype == frame_dtype(3, velocities=False)
    assert len(read_frame_stream(path)) == 0


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        (lambda data: data[:10], 'header is incomplete'),
        (lambda data: b'X' + data[1:], 'not a stream of frames'),
        (lambda data: data[:8] + b'\x09' + data[9:], 'version 9'),
        (lambda data: data[:16] + bytes(8) + data[24:], '0 atoms'),
    ],
)
def test_corrupt_header(tmp_path, change, reason):
    path = tmp_path / 'frames.bin'
    FrameStreamWriter(path, 3, velocities=False).close()
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match=rf'frames\.bin: .*{reason}'):
        read_frame_stream(path)


def test_wrong_use(tmp_path):
    path = tmp_path / 'frames.bin'
    with FrameStreamWriter(path, 3, velocities=False) as writer:
        with pytest.raises(ValueError, match='do not belong'):
            write(writer, 0, velocities=True)
        with pytest.raises(ValueError, match=r'positions have shape \(2, 3\)'):
            writer.write(0, 0, 0, 0, 0, 0, np.eye(3), np.zeros((2, 3)))
    with pytest.raises(ValueError, match='existing stream has 3 atoms'):
        FrameStreamWriter(path, 4, velocities=False)
    with (
        FrameStreamWriter(tmp_path / 'v.bin', 3, velocities=True) as writer,
        pytest.raises(ValueError, match='missing'),
    ):
        write(writer, 0)
    assert path.stat().st_size == HEADER_BYTES
