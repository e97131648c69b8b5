#pragma once

// Variables, registers and parameters.
#include "text/symbols.hpp"

namespace ptxrun {
// Enters what a statement such as ".shared .align 16 .f32 tile[256]" declares; external: it may
// have been declared before.
void declare(Symbols& symbols, const string& statement, bool external);

// The parameters of a list, laid out one after another.
vector<Param> parse_parameters(Symbols& symbols, const string& list);

// Bytes of local memory of a function, at a multiple of 8 or more; their offset.
u32 allocate_local(Function& function, u32 bytes, u32 align);
}  // namespace ptxrun
