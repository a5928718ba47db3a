//! The programs that tests and benchmarks need besides Rust: found, or else installed.
//!
//! To add one, describe it as a [`Need`] and name it in [`TESTS`] or [`BENCHES`].

use crate::command::{Tool, var_os};
use crate::failure::Failure;
use crate::package_manager::{Installer, Machine, PackageManager, Refusal};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// What `cargo xtask test` needs.
pub(crate) const TESTS: &[&Need] = &[&REDIS, &CHROMIUM, &CHROMEDRIVER];
/// What `cargo xtask bench` needs.
pub(crate) const BENCHES: &[&Need] = &[&REDIS];

/// A program that must be there.
#[derive(Debug)]
pub(crate) struct Need {
    name: &'static str,
    why: &'static str,
    /// Overrides the search; what was found is passed on under the same name.
    variable: &'static str,
    /// Looked for in `PATH`, in this order.
    programs: &'static [&'static str],
    /// Tried in this order until the program is there.
    packages: fn(PackageManager) -> &'static [&'static str],
}

const REDIS: Need = Need {
    name: "redis-server",
    why: "the tests of the Redis backend run against a private server; they fail without one, they do not skip",
    variable: "REDIS_SERVER_BIN",
    programs: &["redis-server", "valkey-server"],
    packages: |manager| match manager {
        PackageManager::Apt => &["redis-server", "valkey-server"],
        PackageManager::Dnf | PackageManager::Apk => &["redis", "valkey"],
        PackageManager::Pacman => &["valkey", "redis"],
        PackageManager::Brew => &["redis", "valkey"],
    },
};

const CHROMIUM: Need = Need {
    name: "chromium",
    why: "the example is tested with a real browser; its tests fail without one, they do not skip",
    variable: "CHROMIUM_BIN",
    programs: &["chromium", "chromium-browser", "google-chrome"],
    packages: |manager| match manager {
        PackageManager::Apt => &["chromium", "chromium-browser"],
        PackageManager::Dnf | PackageManager::Apk | PackageManager::Pacman | PackageManager::Brew => {
            &["chromium"]
        }
    },
};

const CHROMEDRIVER: Need = Need {
    name: "chromedriver",
    why: "the tests drive the browser through it",
    variable: "CHROMEDRIVER_BIN",
    programs: &["chromedriver"],
    packages: |manager| match manager {
        PackageManager::Apt => &["chromium-driver", "chromium-chromedriver"],
        PackageManager::Apk => &["chromium-chromedriver"],
        PackageManager::Pacman => &["chromium"],
        PackageManager::Dnf | PackageManager::Brew => &["chromedriver"],
    },
};

/// Finds every need, installing what is missing, and answers the variables that tell the tests where it is.
pub(crate) fn ensure(needs: &[&'static Need]) -> Result<Vec<(&'static str, OsString)>, Failure> {
    needs.iter().map(|need| Ok((need.variable, need.ensure()?.into_os_string()))).collect()
}

impl Need {
    fn ensure(&self) -> Result<PathBuf, Failure> {
        if let Some(path) = self.find()? {
            println!("{}: {}", self.name, path.display());
            return Ok(path);
        }
        println!("{} is not here; installing it", self.name);
        self.install().map_err(|reason| self.cannot_install(&reason))
    }

    fn find(&self) -> Result<Option<PathBuf>, Failure> {
        let path = var_os("PATH").unwrap_or_default();
        match self.locate(var_os(self.variable).as_deref(), &path) {
            Some(Located::At(path)) => Ok(Some(path)),
            Some(Located::Wrong(path)) => Err(Failure::Said(format!(
                "${} names {}, which is not there; correct the variable or unset it",
                self.variable,
                path.display()
            ))),
            None => Ok(None),
        }
    }

    /// A variable that names nothing is an error, not a reason to take another program than the one asked for.
    fn locate(&self, variable: Option<&OsStr>, path: &OsStr) -> Option<Located> {
        match variable.filter(|value| !value.is_empty()) {
            Some(value) => {
                let found = in_path(path, Path::new(value));
                Some(found.map_or_else(|| Located::Wrong(value.into()), Located::At))
            }
            None => {
                self.programs.iter().find_map(|program| in_path(path, Path::new(program))).map(Located::At)
            }
        }
    }

    fn install(&self) -> Result<PathBuf, String> {
        let machine = Machine { has: &is_in_path, is_root: is_root() };
        let installer = Installer::choose(&machine).map_err(|refusal| refusal.to_string())?;
        // A stale list may still know the package; the install decides.
        let _ = installer.refresh().map(run);
        for package in (self.packages)(installer.manager) {
            let installed = run(installer.install(package));
            if let (Ok(()), Ok(Some(path))) = (installed, self.find()) {
                return Ok(path);
            }
        }
        Err(format!("{} could not install it", installer.manager.program()))
    }

    fn cannot_install(&self, reason: &str) -> Failure {
        Failure::Said(format!(
            "{name} is missing: {reason}.\n{why}.\nInstall {programs} and put it in PATH, or set {variable} to it.",
            name = self.name,
            why = self.why,
            programs = self.programs.join(" or "),
            variable = self.variable,
        ))
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Located {
    At(PathBuf),
    Wrong(PathBuf),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoManager => {
                f.write_str("there is none of apt-get, dnf, apk, pacman, brew to install it with")
            }
            Self::NotRoot(manager) => write!(f, "{} needs root, and there is no sudo", manager.program()),
        }
    }
}

fn run(words: Vec<&'static str>) -> Result<(), Failure> {
    let mut words = words.into_iter();
    let program = words.next().unwrap_or_default();
    Tool::new(program).args(words).run()
}

/// The file that a program's name means; a name with a directory in it is not searched for.
fn in_path(path: &OsStr, program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return program.is_file().then(|| program.to_owned());
    }
    std::env::split_paths(path).map(|directory| directory.join(program)).find(|file| file.is_file())
}

fn is_in_path(program: &str) -> bool {
    in_path(&var_os("PATH").unwrap_or_default(), Path::new(program)).is_some()
}

fn is_root() -> bool {
    Tool::new("id").args(["-u"]).output().is_ok_and(|uid| uid.trim_ascii() == b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_wins_and_never_falls_back() {
        let here = std::env::current_exe().unwrap();
        let directory = here.parent().unwrap().as_os_str();
        let file_name = here.file_name().unwrap().to_str().unwrap();
        let programs: &'static [&'static str] = Box::leak(Box::new([&*file_name.to_owned().leak()]));
        let need = Need { programs, ..REDIS };
        let at = || Some(Located::At(here.clone()));
        let rows = [
            ("found in PATH", None, directory, at()),
            ("an empty variable is no variable", Some(OsStr::new("")), directory, at()),
            ("not in PATH", None, OsStr::new("/nowhere"), None),
            ("variable with a path", Some(here.as_os_str()), OsStr::new("/nowhere"), at()),
            ("variable with a name", here.file_name(), directory, at()),
            (
                "variable that names nothing",
                Some(OsStr::new("/nowhere/redis")),
                directory,
                Some(Located::Wrong("/nowhere/redis".into())),
            ),
        ];
        for (name, variable, path, expected) in rows {
            assert_eq!(need.locate(variable, path), expected, "{name}");
        }
    }

    #[test]
    fn every_manager_has_a_package_for_every_need() {
        for need in TESTS.iter().chain(BENCHES) {
            for manager in PackageManager::ALL {
                assert!(!(need.packages)(manager).is_empty(), "{} with {}", need.name, manager.program());
            }
        }
    }

    #[test]
    fn a_need_that_cannot_be_met_says_what_to_do() {
        let said = REDIS.cannot_install(&Refusal::NotRoot(PackageManager::Apt).to_string()).to_string();
        for part in ["apt-get needs root", "redis-server or valkey-server", "REDIS_SERVER_BIN"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}
