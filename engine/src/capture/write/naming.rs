//! Names of the files that are written: `eth0_00001_20261121T113000Z.pcapng`, in the order of writing when sorted.

/// The name of the `number`th file, begun at a time.
#[must_use]
pub fn name(interface: &str, number: u32, at_ns: i64) -> String {
    let (year, month, day) = civil(at_ns.div_euclid(86_400_000_000_000));
    let second = at_ns.div_euclid(1_000_000_000).rem_euclid(86_400);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{}_{number:05}_{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z.pcapng", plain(interface))
}

/// The number in such a name of a file of the interface, and the text of when it was begun; `None` for any other name.
#[must_use]
pub fn parse(interface: &str, file: &str) -> Option<(u32, String)> {
    let (of, number, begun) = numbered(file.strip_suffix(".pcapng")?)?;
    (of == plain(interface)).then(|| Some((number.parse().ok()?, begun.to_owned())))?
}

/// Such a name without its extension in parts: of what, the number, and the text of when it was begun.
#[must_use]
pub fn numbered(stem: &str) -> Option<(&str, &str, &str)> {
    let (rest, begun) = stem.strip_suffix('Z')?.rsplit_once('_')?;
    let (of, number) = rest.rsplit_once('_')?;
    let (day, time) = begun.split_once('T')?;
    let digits = |text: &str, least: usize| text.len() >= least && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_ours = digits(number, 5) && day.len() == 8 && digits(day, 8) && time.len() == 6 && digits(time, 6);
    is_ours.then_some((of, number, begun))
}

/// An interface may be named with anything but a slash and white space.
fn plain(interface: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '.') { c } else { '-' };
    interface.chars().map(plain).collect::<String>().trim_start_matches('.').to_owned()
}

/// Days since 1970 into a date (Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_in_the_order_of_writing_and_hold_no_surprise() {
        assert_eq!(name("eth0", 1, 0), "eth0_00001_19700101T000000Z.pcapng");
        assert_eq!(name("any", 12, 1_795_260_599_999_999_999), "any_00012_20261121T112959Z.pcapng");
        assert_eq!(parse("eth0", "eth0_00012_20261121T112959Z.pcapng"), Some((12, "20261121T112959".to_owned())));
        for other in
            ["eth1_00012_20261121T112959Z.pcapng", "eth0_12_20261121T112959Z.pcapng", "eth0_00001_notes.pcapng"]
        {
            assert_eq!(parse("eth0", other), None, "{other}");
        }
        assert_eq!(name("..\x1b[2J", 1, 951_782_400_000_000_000), "--2J_00001_20000229T000000Z.pcapng");
    }
}
