"""Parser of the conversion of a MACE model by `hdiff-engine convert-mace`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiida import orm
from aiida.engine import ExitCode

from aiida_hdiff.calculations import mace_convert as files
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.engine import exit_codes as engine
from aiida_hdiff.engine.fast_mace import plain_data_error
from aiida_hdiff.parsers.base import JobParser


class MaceConvertParser(JobParser):
    """Put the converted model beside the model; every branch ends in an exit code."""

    def parse_folder(self, folder: Path) -> ExitCode | None:
        """Parse the files of the job in ``folder``."""
        status, path = self.status(), folder / files.CONVERTED_FILE
        comparison = self.retrieved_json(files.COMPARISON_FILE)
        self.out('results', orm.Dict({**comparison, 'versions': status.get('versions', {})}))
        codes, code, reason = self.exit_codes, status.get('exit_code'), status.get('message', '')
        named = {
            engine.NOT_CONVERTIBLE: codes.ERROR_NOT_CONVERTIBLE,
            engine.CONVERSION_DIFFERS: codes.ERROR_CONVERSION_DIFFERS,
            engine.MODEL_REFUSED: codes.ERROR_MODEL_NOT_TRUSTED,
            engine.MISSING_PACKAGE: codes.ERROR_PACKAGE_MISSING,
            engine.MODEL_NOT_LOADED: codes.ERROR_POTENTIAL_REFUSED,
            engine.BAD_INPUT: codes.ERROR_ENGINE_FAILED,
            engine.ERROR: codes.ERROR_ENGINE_FAILED,
        }
        if code in named:
            return named[code].format(reason=reason)
        if code is None or not path.is_file() or not comparison:
            return codes.ERROR_OUTPUT_MISSING.format(
                reason=f'the engine did not finish: see {self.node.get_option("output_filename")}.'
            )
        content = path.read_bytes()
        error = plain_data_error(content)
        if error:
            return codes.ERROR_OUTPUT_UNREADABLE.format(reason=f'{path.name}: {error}')
        self.out('potential', self._potential(content))
        return None

    def _potential(self, converted: bytes) -> PotentialData:
        model: Any = self.node.inputs.potential
        node = PotentialData(
            architecture='mace',
            elements=model.elements,
            files=[model.base.repository.get_object_content(model.file_names[0], mode='rb'), converted],
            cutoff_A=model.cutoff_A,
            options={**model.options, 'dtype': self.node.inputs.dtype.value},
        )
        node.label = model.label
        return node
