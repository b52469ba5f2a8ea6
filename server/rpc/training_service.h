// The door that tconv.v1.TrainingService opens.
#pragma once

#include <tconv/v1/training.grpc.pb.h>

#include "server/base/status.h"
#include "server/host/layer_host.h"
#include "server/host/layer_training.h"
#include "server/rpc/generic_methods.h"
#include "server/rpc/method.h"

namespace tconv::server {

template <typename Base>
using WithTrainingSettings = v1::TrainingService::WithGenericMethod_SetTrainable<
    v1::TrainingService::WithGenericMethod_SetOptimizer<
        v1::TrainingService::WithGenericMethod_GetOptimizer<Base>>>;
template <typename Base>
using WithTrainingSteps = v1::TrainingService::WithGenericMethod_Backward<
    v1::TrainingService::WithGenericMethod_ApplyGradients<
        v1::TrainingService::WithGenericMethod_TrainStep<Base>>>;

// Decodes requests, asks for the training, encodes its answers. Thread-safe.
class TrainingServiceImpl final
    : public WithTrainingSettings<WithTrainingSteps<v1::TrainingService::Service>> {
 public:
  // Adds its methods to `generic`, which is to be registered with the same server as
  // this. All that is given must outlive that server.
  TrainingServiceImpl(LayerHost& host, LayerTraining& training, const ServiceContext& context,
                      GenericMethods& generic);

 private:
  using Parts = RequestParts;

  // What the RPCs mean; their errors are in the .proto.
  StatusOr<v1::SetTrainableResponse> DoSetTrainable(const v1::SetTrainableRequest& request,
                                                    const Parts&);
  StatusOr<v1::SetOptimizerResponse> DoSetOptimizer(const v1::SetOptimizerRequest& request,
                                                    const Parts& parts);
  StatusOr<WithPayloads<v1::GetOptimizerResponse>> DoGetOptimizer(
      const v1::GetOptimizerRequest& request, const Parts&);
  StatusOr<WithPayloads<v1::BackwardResponse>> DoBackward(const v1::BackwardRequest& request,
                                                          const Parts& parts);
  StatusOr<v1::ApplyGradientsResponse> DoApplyGradients(const v1::ApplyGradientsRequest& request,
                                                        const Parts& parts);
  StatusOr<WithPayloads<v1::TrainStepResponse>> DoTrainStep(const v1::TrainStepRequest& request,
                                                            const Parts& parts);

  LayerHost& host_;
  LayerTraining& training_;
};

}  // namespace tconv::server
