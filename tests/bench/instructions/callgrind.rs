//! Valgrind's callgrind around a program, told what to do through valgrind's own `vgdb`.

use crate::child::Program;
use crate::peers::system;
use anyhow::{Context as _, ensure};
use std::path::{Path, PathBuf};

const PACKAGE: &str = "Debian's package valgrind";

/// One of them, with its files in one directory.
pub(super) struct Callgrind {
    valgrind: PathBuf,
    vgdb: PathBuf,
    directory: PathBuf,
}

impl Callgrind {
    pub(super) fn in_directory(directory: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            valgrind: system("valgrind", PACKAGE)?,
            vgdb: system("vgdb", PACKAGE)?,
            directory: directory.to_owned(),
        })
    }

    /// The program that runs another one within itself, without counting yet.
    pub(super) fn around(&self, program: &Path) -> Program {
        let arguments = [
            "--tool=callgrind".to_owned(),
            "--instr-atstart=no".to_owned(),
            format!("--callgrind-out-file={}", self.out().display()),
            format!("--vgdb-prefix={}", self.pipes()),
            program.display().to_string(),
        ];
        Program::new(self.valgrind.clone()).arguments(&arguments)
    }

    /// Begins to count.
    pub(super) async fn begin(&self, pid: u32) -> anyhow::Result<()> {
        self.tell(pid, "instrumentation on").await
    }

    /// How many instructions there were since the last time this was asked.
    pub(super) async fn instructions(&self, pid: u32) -> anyhow::Result<u64> {
        let before = self.dumps()?.len();
        self.tell(pid, "dump").await?;
        let dumps = self.dumps()?;
        ensure!(dumps.len() == before + 1, "callgrind wrote no figures: {dumps:?}");
        let last = dumps.iter().max_by_key(|(number, _)| *number).context("a dump")?;
        let text = std::fs::read_to_string(&last.1)?;
        let totals =
            text.lines().find_map(|line| line.strip_prefix("totals: ")).context("a line of totals")?;
        Ok(totals.trim().parse()?)
    }

    fn out(&self) -> PathBuf {
        self.directory.join("callgrind.out")
    }

    fn pipes(&self) -> String {
        self.directory.join("vgdb").display().to_string()
    }

    /// Each dump is a file of its own, numbered from 1.
    fn dumps(&self) -> anyhow::Result<Vec<(u32, PathBuf)>> {
        let mut dumps = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let number = name.strip_prefix("callgrind.out.").and_then(|number| number.parse().ok());
            dumps.extend(number.map(|number| (number, path)));
        }
        Ok(dumps)
    }

    async fn tell(&self, pid: u32, order: &str) -> anyhow::Result<()> {
        let (pipes, pid) = (format!("--vgdb-prefix={}", self.pipes()), format!("--pid={pid}"));
        let mut command = tokio::process::Command::new(&self.vgdb);
        let told = command.args([&pipes, &pid, "-c", order]).kill_on_drop(true).output().await?;
        let said = String::from_utf8_lossy(&told.stderr).into_owned();
        ensure!(told.status.success(), "vgdb {order}: {said}");
        Ok(())
    }
}
