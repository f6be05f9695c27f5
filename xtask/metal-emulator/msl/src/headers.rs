//! The headers of `runtime/`, which a translated source includes.

/// Name and content of each.
pub(crate) const HEADERS: &[(&str, &str)] = &[
    ("arguments.h", include_str!("../runtime/arguments.h")),
    ("atomics.h", include_str!("../runtime/atomics.h")),
    ("dispatch.h", include_str!("../runtime/dispatch.h")),
    ("exports.h", include_str!("../runtime/exports.h")),
    ("fibers.h", include_str!("../runtime/fibers.h")),
    ("math.h", include_str!("../runtime/math.h")),
    ("matrices.h", include_str!("../runtime/matrices.h")),
    ("msl.h", include_str!("../runtime/msl.h")),
    ("scalars.h", include_str!("../runtime/scalars.h")),
    ("scheduler.h", include_str!("../runtime/scheduler.h")),
    ("simdgroup.h", include_str!("../runtime/simdgroup.h")),
    ("simdgroup_matrix.h", include_str!("../runtime/simdgroup_matrix.h")),
    ("traits.h", include_str!("../runtime/traits.h")),
    ("vectors.h", include_str!("../runtime/vectors.h")),
];
