//! Rows of words as aligned text. Pure.

/// The rows, each on a line, each column as wide as its widest word and two spaces from the next. No
/// line ends with a space.
pub fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|word| word.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let line: String = row.iter().zip(&widths).map(|(word, width)| format!("{word:width$}  ")).collect();
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// `CacheRead` as `cache_read`: a word of the program as its data files spell it.
pub fn snake(word: &str) -> String {
    let mut text = String::new();
    for letter in word.chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_word() {
        let rows = [vec!["a".to_owned(), "é".to_owned(), "x".to_owned()], vec!["long".to_owned(), "ab".to_owned()]];
        assert_eq!(aligned(&rows), "a     é   x\nlong  ab\n");
        assert_eq!(aligned(&[]), "");
    }

    #[test]
    fn words_are_spelt_as_in_the_data() {
        assert_eq!([snake("CacheRead"), snake("Input")], ["cache_read", "input"]);
    }
}
