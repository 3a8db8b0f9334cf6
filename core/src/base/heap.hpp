// What the heap does with memory that was freed.
#pragma once

namespace qtk {

/// From now on freed memory stays with the process, up to half a gibibyte beyond what is in use. A
/// training step on the CPU frees and takes the same tensors again, and pages that the system
/// returns have to be cleared first: a tenth of the step of a small model. Without effect where the
/// C library is not glibc.
void keep_freed_memory();

}  // namespace qtk
