//! Headers answer as a list of pairs would.

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn headers_are_found_as_in_a_list_of_pairs(
        fields in prop::collection::vec(("[ab]{0,2}", prop::collection::vec(any::<u8>(), 0..4)), 0..6),
    ) {
        let headers: Headers = fields.iter().map(|(name, value)| (name, value)).collect();
        let read: Vec<_> = headers.iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
        prop_assert_eq!(&read, &fields);
        for name in ["", "a", "ab", "c"] {
            let values: Vec<_> = fields.iter().filter(|(key, _)| key == name).map(|(_, value)| value).collect();
            let text = |value: &&Vec<u8>| std::str::from_utf8(value).ok().map(str::to_owned);
            prop_assert_eq!(headers.contains(name), !values.is_empty());
            prop_assert_eq!(headers.get(name).map(str::to_owned), values.first().and_then(text));
            let all: Vec<_> = headers.all(name).map(str::to_owned).collect();
            prop_assert_eq!(all, values.iter().filter_map(text).collect::<Vec<_>>());
        }
    }
}
