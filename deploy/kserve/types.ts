// The fields of KServe's resources that the manifests of this folder use, from its CRDs, of which
// there is no package. What is of Kubernetes in them has the types of Kubernetes.
import type { IContainer } from "kubernetes-models/v1/Container";
import type { IVolume } from "kubernetes-models/v1/Volume";
import type { IObjectMeta } from "@kubernetes-models/apimachinery/apis/meta/v1/ObjectMeta";

type Protocol = "v1" | "v2" | "grpc-v1" | "grpc-v2";

export interface IServingRuntime {
  apiVersion: "serving.kserve.io/v1alpha1";
  kind: "ServingRuntime";
  metadata: IObjectMeta;
  spec: {
    supportedModelFormats: {
      name: string;
      version?: string;
      autoSelect?: boolean;
      priority?: number;
    }[];
    protocolVersions?: Protocol[];
    annotations?: Record<string, string>;
    containers: IContainer[];
    volumes?: IVolume[];
  };
}

export interface IInferenceService {
  apiVersion: "serving.kserve.io/v1beta1";
  kind: "InferenceService";
  metadata: IObjectMeta;
  spec: {
    predictor: {
      minReplicas?: number;
      maxReplicas?: number;
      scaleMetric?: "cpu" | "memory" | "concurrency" | "rps";
      scaleTarget?: number;
      model: {
        runtime?: string;
        protocolVersion?: Protocol;
        modelFormat: { name: string; version?: string };
        storageUri?: string;
      };
    };
  };
}
