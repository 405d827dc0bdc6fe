// An operator that was read in general and has one weight all the same.
#pragma once

#include "matrix/box_faces.hpp"

namespace dcg {

// The one weight of all faces between an unknown and a cell that is not SOLID, and the sides of the grid that are open, as dcg_operator has
// them; 0 where the weights differ. Only where the box is the whole grid.
double find_one_weight(const BoxFaces &faces, int32_t &open);

}  // namespace dcg
