"""The container of a model file: the zip archive of ``torch.save``, without anything that two readers read apart."""

from __future__ import annotations

import io
import re
import struct
import zipfile

ZIP_MAGIC = b'PK\x03\x04'
MAX_UNPACKED_BYTES = 2**31
MAX_CODE_BYTES = 2**24
_LOCAL_HEADER = struct.Struct('<4s5H3I2H')
_PLAIN = re.compile(
    r'data\.pkl|version|byteorder|\.format_version|\.storage_alignment|\.data/serialization_id|data/\d+'
)
_SCRIPT = re.compile(rf'{_PLAIN.pattern}|constants\.pkl|constants/\d+|code/__torch__/torch/[\w/]+\.py(\.debug_pkl)?')
_OTHERS = (
    (b'7z\xbc\xaf\x27\x1c', 'a 7z archive'),
    (b'\x1f\x8b', 'gzip-compressed'),
    (b'BZh', 'bzip2-compressed'),
    (b'\xfd7zXZ\x00', 'xz-compressed'),
    (b'\x28\xb5\x2f\xfd', 'zstd-compressed'),
    (b'Rar!', 'a RAR archive'),
)
_TAR_MAGIC = slice(257, 262)


class ArchiveError(ValueError):
    """A file that is not the archive it should be."""


def read_archive(content: bytes, *, script: bool = False) -> dict[str, bytes]:
    """Return the files of an archive that ``torch.save``, or ``torch.jit.save``, has written.

    Parameters
    ----------
    content
        The archive.
    script
        Whether it is one of TorchScript, which holds code and may be compressed.

    Returns
    -------
    dict
        Contents by path, without the common folder and without the numbers of the tensors.

    Raises
    ------
    ArchiveError
        If it is another format, cut off, or is built so that readers may disagree on what is in it.
    """
    if not content.startswith(ZIP_MAGIC):
        raise ArchiveError(
            f'it is {_format(content)}, not the zip archive that torch.save has written since PyTorch 1.6'
        )
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as error:
        raise ArchiveError(f'it is a zip archive that is cut off or damaged ({error})') from error
    with archive:
        if archive.comment:
            raise ArchiveError('a comment follows the zip archive')
        if min((entry.header_offset for entry in entries), default=1):
            raise ArchiveError('something else stands before the zip archive')
        root = entries[0].filename.split('/', 1)[0] if entries else ''
        if sum(entry.file_size for entry in entries) > MAX_UNPACKED_BYTES:
            raise ArchiveError(f'it unpacks to more than {MAX_UNPACKED_BYTES >> 30} GiB')
        names = [_checked_name(content, entry, root, script) for entry in entries]
        if len({name.lower() for name in names}) < len(names):
            raise ArchiveError('it holds two files of one name')
        if 'data.pkl' not in names:
            raise ArchiveError('it is a zip archive without the data.pkl of torch.save')
        return {
            name: _read(archive, entry)
            for name, entry in zip(names, entries, strict=True)
            if not name.startswith(('data/', 'constants/'))
        }


def _checked_name(content: bytes, entry: zipfile.ZipInfo, root: str, script: bool) -> str:
    """Return the name of an entry below the common folder."""
    folder, _, name = entry.filename.partition('/')
    if folder != root or not (_SCRIPT if script else _PLAIN).fullmatch(name):
        kind = 'a model in TorchScript' if name.startswith('code/') or name == 'constants.pkl' else 'no plain model'
        raise ArchiveError(f'it holds {entry.filename!r}: it is {kind}')
    allowed = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) if script else (zipfile.ZIP_STORED,)
    if entry.flag_bits & 1 or entry.compress_type not in allowed:
        raise ArchiveError(f'its entry {entry.filename!r} is compressed or encrypted, as torch.save never does')
    header = content[entry.header_offset : entry.header_offset + _LOCAL_HEADER.size]
    if len(header) < _LOCAL_HEADER.size:
        raise ArchiveError('it is a zip archive that is cut off or damaged')
    magic, _, flags, method, *_, length, _ = _LOCAL_HEADER.unpack(header)
    start = entry.header_offset + _LOCAL_HEADER.size
    local = content[start : start + length]
    if (magic, flags, method, local) != (ZIP_MAGIC, entry.flag_bits, entry.compress_type, entry.orig_filename.encode()):
        raise ArchiveError(f'the two headers of its entry {entry.filename!r} differ')
    return name


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    if entry.file_size > MAX_CODE_BYTES and not entry.filename.endswith('/data.pkl'):
        raise ArchiveError(f'its entry {entry.filename!r} is larger than {MAX_CODE_BYTES >> 20} MiB')
    try:
        return archive.read(entry)
    except Exception as error:
        raise ArchiveError(f'its entry {entry.filename!r} cannot be read ({error})') from error


def _format(content: bytes) -> str:
    for magic, name in _OTHERS:
        if content.startswith(magic):
            return name
    if content[_TAR_MAGIC] == b'ustar':
        return 'a tar archive, as PyTorch wrote before 0.1.10'
    if content[:1] == b'\x80':
        return 'a bare pickle, as PyTorch wrote before 1.6'
    return 'another format'
