// What a translated Metal source includes: the Metal Shading Language as C++17, executed on the CPU.
//
// Each thread of a threadgroup is a fiber, thirty-two of them are a simdgroup, and threadgroups run one
// after another. All of it happens on one thread of the host, which holds a lock meanwhile, so plain
// variables serve as atomics and nothing here is thread-local.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <type_traits>

#include "dispatch.h"
#include "fibers.h"
#include "scheduler.h"
#include "scalars.h"
#include "vectors.h"
#include "matrices.h"
#include "traits.h"
#include "math.h"
#include "simdgroup.h"
#include "simdgroup_matrix.h"
#include "atomics.h"
#include "arguments.h"
#include "exports.h"
