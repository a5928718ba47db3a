//! The system's package manager: which one is here, and the commands that install a package with it.

/// In the order in which we look: `brew` is last because it also exists on Linux, beside the system's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PackageManager {
    Apt,
    Dnf,
    Apk,
    Pacman,
    Brew,
}

/// What we know about the machine.
pub(crate) struct Machine<'a> {
    pub(crate) has: &'a dyn Fn(&str) -> bool,
    pub(crate) is_root: bool,
}

/// Why nothing can be installed here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NoManager,
    NotRoot(PackageManager),
}

/// How to install on this machine.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Installer {
    pub(crate) manager: PackageManager,
    sudo: bool,
}

impl PackageManager {
    pub(crate) const ALL: [Self; 5] = [Self::Apt, Self::Dnf, Self::Apk, Self::Pacman, Self::Brew];

    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Apt => "apt-get",
            Self::Dnf => "dnf",
            Self::Apk => "apk",
            Self::Pacman => "pacman",
            Self::Brew => "brew",
        }
    }

    /// What must run before an install, so that the list of packages is neither empty nor stale.
    fn refresh(self) -> &'static [&'static str] {
        match self {
            Self::Apt => &["apt-get", "update", "-q"],
            Self::Pacman => &["pacman", "-Sy", "--noconfirm"],
            Self::Dnf | Self::Apk | Self::Brew => &[],
        }
    }

    fn install(self) -> &'static [&'static str] {
        match self {
            Self::Apt => &[
                "env",
                "DEBIAN_FRONTEND=noninteractive",
                "apt-get",
                "install",
                "-y",
                "--no-install-recommends",
            ],
            Self::Dnf => &["dnf", "install", "-y"],
            Self::Apk => &["apk", "add", "--no-cache"],
            Self::Pacman => &["pacman", "-S", "--noconfirm", "--needed"],
            Self::Brew => &["brew", "install"],
        }
    }
}

impl Installer {
    pub(crate) fn choose(machine: &Machine<'_>) -> Result<Self, Refusal> {
        let manager = PackageManager::ALL.into_iter().find(|manager| (machine.has)(manager.program()));
        let manager = manager.ok_or(Refusal::NoManager)?;
        // brew refuses to run as root and needs no rights.
        if machine.is_root || manager == PackageManager::Brew {
            Ok(Self { manager, sudo: false })
        } else if (machine.has)("sudo") {
            Ok(Self { manager, sudo: true })
        } else {
            Err(Refusal::NotRoot(manager))
        }
    }

    /// The command that brings the list of packages up to date, if this manager wants one.
    pub(crate) fn refresh(&self) -> Option<Vec<&'static str>> {
        let words = self.manager.refresh();
        (!words.is_empty()).then(|| self.with_rights(words))
    }

    pub(crate) fn install(&self, package: &'static str) -> Vec<&'static str> {
        let mut words = self.with_rights(self.manager.install());
        words.push(package);
        words
    }

    fn with_rights(&self, words: &[&'static str]) -> Vec<&'static str> {
        self.sudo.then_some("sudo").into_iter().chain(words.iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Row {
        name: &'static str,
        programs: &'static [&'static str],
        is_root: bool,
        expected: Result<&'static str, Refusal>,
    }

    #[test]
    fn the_first_manager_present_installs_with_the_rights_it_needs() {
        let rows = [
            Row {
                name: "root on Debian",
                programs: &["apt-get", "sudo"],
                is_root: true,
                expected: Ok(
                    "env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends redis",
                ),
            },
            Row {
                name: "user with sudo on Fedora",
                programs: &["dnf", "sudo"],
                is_root: false,
                expected: Ok("sudo dnf install -y redis"),
            },
            Row {
                name: "user without sudo on Arch",
                programs: &["pacman"],
                is_root: false,
                expected: Err(Refusal::NotRoot(PackageManager::Pacman)),
            },
            Row {
                name: "root on Alpine",
                programs: &["apk"],
                is_root: true,
                expected: Ok("apk add --no-cache redis"),
            },
            Row {
                name: "brew never gets sudo",
                programs: &["brew", "sudo"],
                is_root: false,
                expected: Ok("brew install redis"),
            },
            Row {
                name: "the system's own before brew",
                programs: &["brew", "dnf"],
                is_root: true,
                expected: Ok("dnf install -y redis"),
            },
            Row {
                name: "no manager at all",
                programs: &["sudo"],
                is_root: true,
                expected: Err(Refusal::NoManager),
            },
        ];
        for Row { name, programs, is_root, expected } in rows {
            let machine = Machine { has: &|program| programs.contains(&program), is_root };
            let command = Installer::choose(&machine).map(|installer| installer.install("redis").join(" "));
            assert_eq!(command, expected.map(str::to_owned), "{name}");
        }
    }

    #[test]
    fn apt_reads_its_lists_first_because_a_fresh_image_has_none() {
        let apt = Installer { manager: PackageManager::Apt, sudo: true };
        assert_eq!(apt.refresh(), Some(vec!["sudo", "apt-get", "update", "-q"]));
        let brew = Installer { manager: PackageManager::Brew, sudo: false };
        assert_eq!(brew.refresh(), None);
    }
}
