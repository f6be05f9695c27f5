//! The choice of how exactly quantised weights see their input.

/// How a linear layer reads its input where the weight is quantised. Dense weights always see it exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activations {
    /// In f32: the weight is decoded, and the product is that of the decoded matrix.
    Exact,
    /// Rounded to whole numbers of -127 to 127 with one scale for each 32 values of a row, so that products are
    /// products of bytes: several times faster, with an error like that of a weight in Q8_0. Only the CPU does so;
    /// elsewhere it means [`Activations::Exact`].
    ///
    /// A row is rounded on its own, so it still does not depend on its batch. Blocks of 32 values that are all
    /// below 1e-36 count as zero; a block with an infinity or a NaN makes every output of its row NaN.
    #[default]
    Int8,
}
