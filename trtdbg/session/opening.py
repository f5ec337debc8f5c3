"""Opens the program of a job, whatever its file is called."""

from __future__ import annotations

import dataclasses

from trtdbg.archive.custom import import_libraries
from trtdbg.archive.load import LoadedProgram, load
from trtdbg.errors import ModelError
from trtdbg.plain import readable_path
from trtdbg.worker.messages import Job, native_path


def opened(job: Job) -> LoadedProgram:
    """Returns the program of a job, loaded after the libraries that it imports.

    Raises:
        UsageError: a library cannot be imported.
        ModelError: the file cannot be read.
    """
    import_libraries(job.access.imports)
    access = job.access
    trust, program, imports = access.trust, access.program, access.imports
    path = native_path(job.model)
    if path == job.model:
        return load(path, trust=trust, program=program, imports=imports)
    # torch opens no name that is not UTF-8, and no such name can be reported.
    shown = readable_path(path)
    try:
        with open(path, "rb") as file:
            descriptor = f"/proc/self/fd/{file.fileno()}"
            loaded = load(descriptor, trust=trust, program=program, imports=imports)
    except ModelError as error:
        message = error.message.replace(descriptor, shown)
        raise ModelError(message, remedy=error.remedy) from error
    except OSError as error:
        raise ModelError(f"cannot read {shown}: {error.strerror or error}") from error
    return dataclasses.replace(loaded, path=shown)
