"""Runs what the documentation shows: commands, Python, configs; and compares what they print with what the page says.

Blocks of Markdown, in order, in one scratch folder a page:

    console                 lines that begin with `$ ` are run; the lines after each are compared with what it prints
    python                  is run, after the blocks of Python above it; a `text` block right after it is what it prints
    yaml title="a.yaml"     is written to that file, and checked as a config
    yaml                    a part of a config, checked on top of the packaged `digits`
    sh                      is not run, but options and arguments of each `cnnkit …` in it are parsed
    text, diff and others   cannot be run

A comment before a block says what may vary, `<!-- within 0.02; varies: images/s, seconds -->`, and one that begins with `page:` says
it for all blocks of the page:

    within 0.02             decimal numbers may differ by so much
    counts within 3         whole numbers may differ by so much
    varies: images/s, s     any number in a column of this heading, in a row of this name, or beside this word
    exit status 1           what the last command of the block ends with (0 where it is not said)
    not run: REASON         for a block that is `console`, `python` or `text` but cannot run here

`<!-- made: runs/digits/curves.png -->` before a picture names the file in the scratch folder that it is a copy of.

`...` stands for any text in a line and, alone on a line, for any lines. `python -m tests.documentation docs/first-run.md` runs a page
and writes what its commands print into it; look at the difference.
"""
