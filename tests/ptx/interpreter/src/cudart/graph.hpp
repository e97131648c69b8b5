#pragma once

// The objects behind the handles of graphs, which streams record.
#include "cudart/runtime.hpp"

struct CUgraphNode_st {
  ptxrun::Work work;
  std::vector<CUgraphNode_st*> dependencies;
};
struct CUgraph_st {
  std::vector<std::unique_ptr<CUgraphNode_st>> nodes;  // run in this order
  // Made by cudaMallocAsync under capture; they live as long as the graph or what was made of it.
  std::shared_ptr<std::vector<void*>> buffers = std::make_shared<std::vector<void*>>();

  CUgraphNode_st* add(ptxrun::Work work, std::vector<CUgraphNode_st*> dependencies) {
    nodes.push_back(std::make_unique<CUgraphNode_st>());
    *nodes.back() = {std::move(work), std::move(dependencies)};
    return nodes.back().get();
  }
};
