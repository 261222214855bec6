//! Lists of numbers in one block.

use serde::{Deserialize, Serialize};

/// Lists of numbers in one block: row `i` is `items[starts[i]..starts[i + 1]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    starts: Vec<u32>,
    items: Vec<u32>,
}

impl Rows {
    /// Builds rows from `(row, item)` pairs in any order; rows keep the order of the pairs.
    #[must_use]
    pub fn from_pairs(rows: usize, pairs: &[(u32, u32)]) -> Self {
        let mut starts = vec![0_u32; rows.saturating_add(1)];
        for (row, _) in pairs {
            if let Some(count) = starts.get_mut((*row as usize).saturating_add(1)) {
                *count = count.saturating_add(1);
            }
        }
        let mut total = 0_u32;
        for start in &mut starts {
            total = total.saturating_add(*start);
            *start = total;
        }
        let mut next = starts.clone();
        let mut items = vec![0_u32; pairs.len()];
        for (row, item) in pairs {
            if let Some(place) = next.get_mut(*row as usize) {
                if let Some(cell) = items.get_mut(*place as usize) {
                    *cell = *item;
                }
                *place = place.saturating_add(1);
            }
        }
        Self { starts, items }
    }

    /// The items of one row; empty if there is no such row.
    #[must_use]
    pub fn row(&self, row: u32) -> &[u32] {
        let row = row as usize;
        let start = self.starts.get(row).copied().unwrap_or(0) as usize;
        let end = self.starts.get(row.saturating_add(1)).copied().unwrap_or(0) as usize;
        self.items.get(start..end).unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_each_rows_items_in_order() {
        let rows = Rows::from_pairs(4, &[(2, 7), (0, 1), (2, 5), (0, 3)]);
        assert_eq!(rows.row(0), [1, 3]);
        assert_eq!(rows.row(1), [0_u32; 0]);
        assert_eq!(rows.row(2), [7, 5]);
        assert_eq!(rows.row(9), [0_u32; 0]);
    }
}
