//! What one scrape of the metrics page says.

/// The samples of one scrape.
pub struct Samples(Vec<(String, f64)>);

// === impl Samples ===

impl Samples {
    /// The OpenMetrics text format: `name{labels} value`.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let pairs = lines.map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line:?}"));
            (name.to_owned(), value.parse().unwrap_or_else(|_| panic!("no number: {line:?}")))
        });
        Samples(pairs.collect())
    }

    /// The samples of `name` that have all these labels.
    pub fn of<'a>(&'a self, name: &'a str, labels: &'a [(&str, &str)]) -> impl Iterator<Item = f64> + 'a {
        let wanted: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
        let named = self.0.iter().filter(move |(full, _)| full.split('{').next() == Some(name));
        named.filter(move |(full, _)| wanted.iter().all(|label| full.contains(label))).map(|(_, value)| *value)
    }

    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.of(name, labels).sum()
    }

    /// How many samples there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}
