"""An authority of our own and what it signs, made with the ``openssl`` command; nothing of it leaves the directory."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

CONFIGURATION = """
[ca]
default_ca = own
[own]
dir = {folder}
database = {folder}/index.txt
new_certs_dir = {folder}
rand_serial = yes
default_md = sha256
policy = any
x509_extensions = leaf
unique_subject = no
[any]
commonName = supplied
[req]
distinguished_name = names
x509_extensions = authority
[names]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = CA:FALSE
subjectAltName = {names}
"""
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Authority:
    """A certificate authority in a directory of its own; ``file`` is what others trust it by."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("certificates are made with the openssl command, which is not there")
        folder.mkdir()
        (folder / "index.txt").touch()
        self._folder = folder
        self.file = folder / "authority.pem"
        self._configure("DNS:unused")
        self._openssl(
            "req", "-x509", *KEY, "-keyout", "authority.key", "-out", self.file.name, "-subj", "/CN=Own", "-days", "2"
        )

    def context(self, names: str, *, expired: bool = False) -> ssl.SSLContext:
        """Return what a server proves itself with: a certificate for names such as ``DNS:localhost,IP:127.0.0.1``."""
        self._configure(names)
        until = ("-startdate", "20200101000000Z", "-enddate", "20200102000000Z") if expired else ("-days", "2")
        self._openssl("req", *KEY, "-keyout", "leaf.key", "-out", "leaf.csr", "-subj", "/CN=leaf")
        self._openssl(
            "ca", "-batch", "-notext", "-in", "leaf.csr", "-out", "leaf.pem", "-cert", self.file.name, "-keyfile", "authority.key",
            *until,
        )  # fmt: skip
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._folder / "leaf.pem", self._folder / "leaf.key")
        return context

    def _configure(self, names: str) -> None:
        (self._folder / "own.cnf").write_text(CONFIGURATION.format(folder=self._folder, names=names))

    def _openssl(self, *arguments: str) -> None:
        command = ["openssl", arguments[0], "-config", "own.cnf", *arguments[1:]]
        subprocess.run(command, cwd=self._folder, check=True, capture_output=True, timeout=60)
