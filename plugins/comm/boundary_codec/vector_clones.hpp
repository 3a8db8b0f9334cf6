// For loops that are to be vectorised for the processor at hand: the compiler makes a copy for each
// instruction set and the loader picks the widest.
#pragma once

#if defined(__x86_64__)
#define QTK_VECTOR_CLONES \
  __attribute__((target_clones("default", "arch=x86-64-v3"), optimize("O3")))
#else
#define QTK_VECTOR_CLONES
#endif
