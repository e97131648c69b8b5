#pragma once

// The special registers that kernels read. A warp keeps 32 lanes of 4 bytes of each.
#include "program/types.hpp"

namespace ptxrun {
enum SpecialRegister : u8 {
  SR_TID_X,
  SR_TID_Y,
  SR_TID_Z,
  SR_NTID_X,
  SR_NTID_Y,
  SR_NTID_Z,
  SR_CTAID_X,
  SR_CTAID_Y,
  SR_CTAID_Z,
  SR_NCTAID_X,
  SR_NCTAID_Y,
  SR_NCTAID_Z,
  SR_LANE,
  SR_WARP,
  SR_NWARP,
  SR_SM,
  SR_NSM,
  SR_MASK_EQ,
  SR_MASK_LE,
  SR_MASK_LT,
  SR_MASK_GE,
  SR_MASK_GT,
  SR_DYNAMIC_SHARED,
  SR_TOTAL_SHARED,
  SR_GRID,
  SR_ENV1,
  SR_ENV2,
  SR_RANK,  // of the block in its cluster
  SR_RANK_X,
  SR_RANK_Y,
  SR_RANK_Z,
  SR_CLUSTER,  // blocks of a cluster
  SR_CLUSTER_X,
  SR_CLUSTER_Y,
  SR_CLUSTER_Z,
  SR_CLUSTERID_X,
  SR_CLUSTERID_Y,
  SR_CLUSTERID_Z,
  SR_NCLUSTER_X,
  SR_NCLUSTER_Y,
  SR_NCLUSTER_Z,
  SR_STORED,             // so many are kept; the clocks are counted when read
  SR_CLOCK = SR_STORED,  // 4 bytes
  SR_CLOCK_64            // 8 bytes
};
inline constexpr int special_bytes = 32 * 4;  // of one register

// The register of a name such as "%tid.x". False: there is none.
bool find_special(const string& name, SpecialRegister& found);
}  // namespace ptxrun
