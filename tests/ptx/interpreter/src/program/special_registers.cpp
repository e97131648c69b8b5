#include "program/special_registers.hpp"

#include <unordered_map>

namespace ptxrun {
bool find_special(const string& name, SpecialRegister& found) {
  static const std::unordered_map<string, SpecialRegister> registers = {
      {"%tid.x", SR_TID_X},
      {"%tid.y", SR_TID_Y},
      {"%tid.z", SR_TID_Z},
      {"%ntid.x", SR_NTID_X},
      {"%ntid.y", SR_NTID_Y},
      {"%ntid.z", SR_NTID_Z},
      {"%ctaid.x", SR_CTAID_X},
      {"%ctaid.y", SR_CTAID_Y},
      {"%ctaid.z", SR_CTAID_Z},
      {"%nctaid.x", SR_NCTAID_X},
      {"%nctaid.y", SR_NCTAID_Y},
      {"%nctaid.z", SR_NCTAID_Z},
      {"%laneid", SR_LANE},
      {"%warpid", SR_WARP},
      {"%nwarpid", SR_NWARP},
      {"%smid", SR_SM},
      {"%nsmid", SR_NSM},
      {"%lanemask_eq", SR_MASK_EQ},
      {"%lanemask_le", SR_MASK_LE},
      {"%lanemask_lt", SR_MASK_LT},
      {"%lanemask_ge", SR_MASK_GE},
      {"%lanemask_gt", SR_MASK_GT},
      {"%dynamic_smem_size", SR_DYNAMIC_SHARED},
      {"%total_smem_size", SR_TOTAL_SHARED},
      {"%gridid", SR_GRID},
      {"%clusterid.x", SR_CLUSTERID_X},
      {"%clusterid.y", SR_CLUSTERID_Y},
      {"%clusterid.z", SR_CLUSTERID_Z},
      {"%nclusterid.x", SR_NCLUSTER_X},
      {"%nclusterid.y", SR_NCLUSTER_Y},
      {"%nclusterid.z", SR_NCLUSTER_Z},
      {"%cluster_ctaid.x", SR_RANK_X},
      {"%cluster_ctaid.y", SR_RANK_Y},
      {"%cluster_ctaid.z", SR_RANK_Z},
      {"%cluster_nctaid.x", SR_CLUSTER_X},
      {"%cluster_nctaid.y", SR_CLUSTER_Y},
      {"%cluster_nctaid.z", SR_CLUSTER_Z},
      {"%cluster_ctarank", SR_RANK},
      {"%cluster_nctarank", SR_CLUSTER},
      {"%envreg1", SR_ENV1},
      {"%envreg2", SR_ENV2},
      {"%clock", SR_CLOCK},
      {"%clock_hi", SR_CLOCK},
      {"%clock64", SR_CLOCK_64},
      {"%globaltimer", SR_CLOCK_64},
      {"%globaltimer_lo", SR_CLOCK},
      {"%globaltimer_hi", SR_CLOCK}};
  auto it = registers.find(name);
  if (it == registers.end()) return false;
  found = it->second;
  return true;
}
}  // namespace ptxrun
