// The kinds of cells of deepcg.h, in the type in which they are stored.
#pragma once

#include "deepcg.h"

namespace dcg {

constexpr uint8_t kFluid = DCG_FLUID, kSolid = DCG_SOLID, kOpen = DCG_OPEN;

}  // namespace dcg
