"""The wheel carries the suite with the library: methods, tasks, papers and workflows lie in normbench/suite (core/schema.py: ROOT)."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SUITE = ("methods", "tasks", "papers", "workflows", "Snakefile")
UNWANTED = shutil.ignore_patterns("__pycache__", ".*")


class BuildWithSuite(build_py):
    def run(self):
        super().run()
        if self.editable_mode:  # reads the repository itself
            return
        target = Path(self.build_lib) / "normbench" / "suite"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for part in map(Path, SUITE):
            if part.is_dir():
                shutil.copytree(part, target / part, ignore=UNWANTED)
            else:
                shutil.copy(part, target / part)


setup(cmdclass={"build_py": BuildWithSuite})
