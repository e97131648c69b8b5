#include "engine/error.hpp"
#include "kernels/cuda/collectives.hpp"

namespace pixeldp::kernels {

void nccl_failed(std::string_view what, std::string_view reason, std::string_view detail) {
  fail(
      "NCCL failed at {}: {}{}{}; NCCL_DEBUG=WARN lets it say more, NCCL_SOCKET_IFNAME names the "
      "network that it is to use, and with PIXELDP_COLLECTIVES=host sums go through MPI instead",
      what, reason, detail.empty() ? "" : ": ", detail);
}

}  // namespace pixeldp::kernels
