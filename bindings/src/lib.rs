//! The module `pcapwatch._engine`.
