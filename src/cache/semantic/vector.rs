//! A text's place among others, as it is kept: a vector in 16-bit steps, in two halves of a byte each.
//!
//! The high halves alone are an 8-bit code that is scanned fast; both together are as good as the vector itself. For
//! 384 dimensions that is 768 bytes. 32-bit floats beside the codes would be 1,920, 16-bit floats 1,152 and less exact:
//! a step is 1/65,024 of the range of the components, so that a similarity is right to a few millionths (1e-5 is
//! asserted), while a half's own rounding already costs 2e-5. And all sums are of integers, so that two processors
//! agree about a similarity to the last bit.

/// A direction, of length one. Two are compared with [`Vector::similarity`].
#[derive(Clone, PartialEq)]
pub struct Vector {
    /// The high and the low byte of each component: `256 x high + low`.
    high: Box<[i8]>,
    low: Box<[i8]>,
    measure: Measure,
}

/// What is needed beside its steps to compare a vector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Measure {
    /// 1 / its length, in steps.
    pub shorten: f64,
    /// The length of the low halves as a part of its own: how far the code is from it at most.
    pub slack: f32,
}

/// Why numbers are no vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("a vector has 1 to {MOST} dimensions; look at which model the embedder is set to")]
    Dimensions,
    #[error("a vector has a component that is no finite number; the embedder is broken")]
    NotFinite,
    #[error("a vector is zero, or too short to have a direction; the embedder is broken, or the text was empty")]
    Short,
    #[error("stored bytes are no vector; they are of another release, or damaged")]
    Form,
}

/// The most dimensions; the largest models in use have 4,096.
pub const MOST: usize = 8_192;

/// Vectors are filled up with zeros to a multiple of this, so that a scan has no rest.
pub(super) const LANES: usize = 32;

/// The largest step: its high half is 127 after rounding.
const LARGEST: f32 = 127.0 * 256.0;

/// The first byte of a stored vector: its form.
const FORM: u8 = 1;

// === impl Vector ===

impl Vector {
    /// The direction of what an embedder returned; it need not have length one.
    pub fn new(components: &[f32]) -> Result<Vector, Refused> {
        if components.is_empty() || components.len() > MOST {
            return Err(Refused::Dimensions);
        }
        if !components.iter().all(|component| component.is_finite()) {
            return Err(Refused::NotFinite);
        }
        let largest = components.iter().fold(0f32, |largest, component| largest.max(component.abs()));
        // Below it, the smallest float would no longer be a part of it.
        if largest < f32::MIN_POSITIVE * 1e6 {
            return Err(Refused::Short);
        }
        let padded = components.len().next_multiple_of(LANES);
        let (mut high, mut low) = (Vec::with_capacity(padded), Vec::with_capacity(padded));
        for component in components {
            let (upper, lower) = halves((component / largest * LARGEST).round());
            high.push(upper);
            low.push(lower);
        }
        high.resize(padded, 0);
        low.resize(padded, 0);
        Ok(Vector::of(high.into(), low.into()))
    }

    fn of(high: Box<[i8]>, low: Box<[i8]>) -> Vector {
        let square = |steps: i64| (steps * steps) as f64;
        let length = high.iter().zip(&low).map(|(high, low)| square(step(*high, *low))).sum::<f64>().sqrt();
        let rest = low.iter().map(|low| square(i64::from(*low))).sum::<f64>().sqrt();
        let measure = Measure { shorten: 1.0 / length, slack: (rest / length) as f32 };
        Vector { high, low, measure }
    }

    /// How many dimensions it takes up, a multiple of 32.
    pub fn dimensions(&self) -> usize {
        self.high.len()
    }

    /// The cosine of the angle to another one, from -1 to 1, in millionths; -1 if it has other dimensions.
    pub fn similarity(&self, other: &Vector) -> f32 {
        if self.dimensions() != other.dimensions() {
            return -1.0;
        }
        exact(self, &other.high, &other.low, other.measure)
    }

    /// As a store keeps it: a byte for the form, then both halves of each component.
    pub fn to_bytes(&self) -> Vec<u8> {
        let halves = self.high.iter().chain(&self.low).map(|half| half.cast_unsigned());
        std::iter::once(FORM).chain(halves).collect()
    }

    /// What [`Vector::to_bytes`] made.
    pub fn from_bytes(bytes: &[u8]) -> Result<Vector, Refused> {
        let [FORM, halves @ ..] = bytes else { return Err(Refused::Form) };
        let (high, low) = halves.split_at_checked(halves.len() / 2).ok_or(Refused::Form)?;
        let dimensions = high.len();
        if low.len() != dimensions || dimensions == 0 || dimensions > MOST || !dimensions.is_multiple_of(LANES) {
            return Err(Refused::Form);
        }
        let signed = |half: &[u8]| half.iter().map(|byte| byte.cast_signed()).collect();
        let vector = Vector::of(signed(high), signed(low));
        if vector.measure.shorten.is_finite() { Ok(vector) } else { Err(Refused::Form) }
    }

    pub(super) fn high(&self) -> &[i8] {
        &self.high
    }

    pub(super) fn low(&self) -> &[i8] {
        &self.low
    }

    pub(super) fn measure(&self) -> Measure {
        self.measure
    }
}

/// Only its size: what a text is about can be read from its vector.
impl std::fmt::Debug for Vector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vector({})", self.dimensions())
    }
}

/// The similarity of a vector to one whose halves lie elsewhere. They have the same dimensions.
pub(super) fn exact(vector: &Vector, high: &[i8], low: &[i8], measure: Measure) -> f32 {
    let own = vector.high.iter().zip(&vector.low);
    let other = high.iter().zip(low);
    let product = |((one, rest), (high, low)): ((&i8, &i8), (&i8, &i8))| step(*one, *rest) * step(*high, *low);
    let cosine = own.zip(other).map(product).sum::<i64>() as f64 * vector.measure.shorten * measure.shorten;
    ((cosine.clamp(-1.0, 1.0) * 1e6).round() / 1e6) as f32
}

fn step(high: i8, low: i8) -> i64 {
    i64::from(high) * 256 + i64::from(low)
}

/// The halves of a number of steps; the code, alone, is the nearest one.
fn halves(steps: f32) -> (i8, i8) {
    let high = ((steps + 128.0) / 256.0).floor();
    (high as i8, (steps - high * 256.0) as i8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_has_no_direction_is_refused() {
        for (components, why) in [
            (vec![], Refused::Dimensions),
            (vec![1.0; MOST + 1], Refused::Dimensions),
            (vec![1.0, f32::NAN], Refused::NotFinite),
            (vec![f32::INFINITY, 1.0], Refused::NotFinite),
            (vec![0.0; 384], Refused::Short),
            (vec![-0.0, f32::from_bits(1)], Refused::Short),
            (vec![f32::MIN_POSITIVE; 8], Refused::Short),
        ] {
            assert_eq!(Vector::new(&components).err(), Some(why), "{components:?}");
        }
        assert!(Vector::new(&[f32::MAX, f32::MIN]).is_ok());
        assert!(Vector::new(&vec![1e-30; MOST]).is_ok());
    }

    #[test]
    fn what_is_stored_is_read_and_nothing_else() {
        let vector = Vector::new(&[0.1, -0.7, 0.5]).unwrap();
        let bytes = vector.to_bytes();
        assert_eq!(bytes.len(), 1 + 2 * LANES);
        assert_eq!(Vector::from_bytes(&bytes), Ok(vector));
        let zero = vec![FORM; 1].into_iter().chain([0; 2 * LANES]).collect::<Vec<u8>>();
        let other = [&[FORM + 1], &bytes[1..]].concat();
        for wrong in [&bytes[..bytes.len() - 1], &bytes[..1], &[], &zero, &other] {
            assert_eq!(Vector::from_bytes(wrong), Err(Refused::Form));
        }
    }

    proptest! {
        #[test]
        fn similarity_is_the_cosine(pairs in prop::collection::vec((-1f32..1.0, -1f32..1.0), 1..400), scale in 1e-3f32..1e3) {
            let (one, other): (Vec<f32>, Vec<f32>) = pairs.iter().copied().unzip();
            let scaled: Vec<f32> = other.iter().map(|component| component * scale).collect();
            let (Ok(a), Ok(b)) = (Vector::new(&one), Vector::new(&scaled)) else { return Ok(()) };
            let dot = |one: &[f32], other: &[f32]| one.iter().zip(other).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
            let cosine = dot(&one, &other) / (dot(&one, &one) * dot(&other, &other)).sqrt();
            let similarity = f64::from(a.similarity(&b));
            // The error is below half a step a component; with few components of unequal size it is largest.
            prop_assert!((similarity - cosine).abs() < 3e-5, "{} {}", similarity, cosine);
            prop_assert_eq!(a.similarity(&b), b.similarity(&a));
            prop_assert_eq!(a.similarity(&a), 1.0);
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(vector) = Vector::from_bytes(&bytes) {
                prop_assert_eq!(vector.to_bytes(), bytes);
            }
        }
    }
}
