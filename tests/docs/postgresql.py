"""A PostgreSQL for the pages that speak of one."""

import glob
import os
import pwd
import shutil
import subprocess
import tempfile

_SUPERUSER = "postgres"


class PostgreSql:
    """Listens on a socket of its own until it is closed; never runs as root."""

    def __init__(self):
        binaries = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
        self._folder = tempfile.mkdtemp(prefix="tconv-postgresql-")
        # In the environment of whoever is to reach it.
        self.variables = {"PGHOST": self._folder, "PGUSER": _SUPERUSER}
        self._user = None
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self._folder, nobody.pw_uid, nobody.pw_gid)
            self._user = nobody.pw_uid
        self._control = f"{binaries}/pg_ctl"
        self._run("initdb", "-o", f"--auth=trust --no-sync --username={_SUPERUSER}")
        self._run("start", "--wait", "-l", f"{self._folder}/log", "-o",
                  f"-c listen_addresses= -c fsync=off -k {self._folder}")

    def close(self):
        self._run("stop", "--mode=immediate")
        shutil.rmtree(self._folder)

    def _run(self, *arguments):
        subprocess.run([self._control, "-D", f"{self._folder}/data", *arguments], check=True,
                       user=self._user, cwd="/", stdout=subprocess.DEVNULL)
