# SPDX-License-Identifier: Apache-2.0
"""What the checks share: the files of the tree, C text taken apart, CMake calls, and findings."""

import argparse
import pathlib
import re
import shutil
import subprocess
import sys

TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', re.MULTILINE)


class Source:
    """One C file: `code` is its text with comments and literals blanked, line for line."""

    def __init__(self, root, path):
        self.path = path.relative_to(root)
        self.name = str(self.path)
        self.bytes = path.read_bytes()
        self.text = self.bytes.decode('utf-8', 'replace')
        self.lines = self.text.split('\n')
        self.comments = []
        self.code = TOKEN.sub(self._blank, self.text)

    def _blank(self, match):
        token = match.group()
        if token.startswith('/'):
            self.comments.append((self.line_at(match.start()), token))
            return re.sub(r'[^\n]', ' ', token)
        return token[0] + ' ' * (len(token) - 2) + token[-1]

    def line_at(self, offset):
        return self.text.count('\n', 0, offset) + 1

    def includes(self):
        """(line, '<' or '"', what) of each #include that is not inside a comment."""
        for match in INCLUDE.finditer(self.text):
            if self.code[match.start(1)] != ' ':
                yield self.line_at(match.start()), match.group(1), match.group(2)

    @property
    def folder(self):
        """The layer of a file under src/ or test/unit/, else ''."""
        parts = self.path.parts
        if parts[0] == 'src':
            return parts[1] if len(parts) > 2 else ''
        return parts[2] if parts[:2] == ('test', 'unit') and len(parts) > 3 else ''


class Tree:
    """The tree under a root, and what a check has found wrong in it."""

    def __init__(self, root):
        self.root = pathlib.Path(root).resolve()
        self.findings = []
        self.sources = [
            Source(self.root, path)
            for top in ('src', 'test', 'bench')
            for path in sorted((self.root / top).rglob('*.[ch]'))
        ]

    def under(self, top):
        return [source for source in self.sources if source.path.parts[0] == top]

    def read(self, name):
        path = self.root / name
        return path.read_text('utf-8') if path.exists() else ''

    def find(self, where, line, what):
        self.findings.append((str(where), line, what))

    def report(self):
        """Prints the findings in order; the exit code of the check."""
        for where, line, what in sorted(set(self.findings)):
            print(f'{where}:{line}: {what}')
        return 1 if self.findings else 0


def cmake_calls(text, name):
    """The arguments of each call of a CMake function, as lists by keyword; '' holds the first."""
    text = re.sub(r'#[^\n]*', '', text)
    for match in re.finditer(rf'\b{name}\(([^)]*)\)', text):
        arguments, keyword = {'': []}, ''
        for word in match.group(1).split():
            if re.fullmatch(r'[A-Z]+', word):
                keyword = word
                arguments.setdefault(keyword, [])
            else:
                arguments[keyword].append(word)
        yield arguments


def layers(tree):
    """The layer() calls by name; reports folders that hold none or several."""
    found = {}
    for path in sorted(tree.root.glob('src/*/CMakeLists.txt')):
        calls = list(cmake_calls(path.read_text('utf-8'), 'layer'))
        if len(calls) != 1 or calls[0][''] != [path.parent.name]:
            tree.find(path.relative_to(tree.root), 1, f'needs one layer({path.parent.name} ...)')
            continue
        found[path.parent.name] = calls[0]
    return found


def clang_tool(name):
    """clang-format or clang-tidy of version 14, whose verdicts the tree follows, or None.

    Other versions lay out a few lines otherwise and know other checks.
    """
    for command in (f'{name}-14', name):
        if shutil.which(command):
            said = subprocess.run([command, '--version'], text=True, capture_output=True).stdout
            if 'version 14.' in said:
                return command
    print(f'{name} 14 is not here: not asked')
    return None


def arguments(doc, **extra):
    """Parses the command line of a check: the root of the tree, and what the check adds."""
    parser = argparse.ArgumentParser(description=doc.strip().split('\n')[0])
    here = pathlib.Path(sys.argv[0]).resolve().parent.parent
    parser.add_argument('--root', default=here, help='the tree to look at')
    for name, settings in extra.items():
        parser.add_argument(f'--{name}', **settings)
    return parser.parse_args()
