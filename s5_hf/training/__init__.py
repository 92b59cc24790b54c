"""Training: one loop for S4 pre-training, joint segmentation, joint detection and masked autoencoding.

A kind of training is a small class, a [`TrainingKind`] with its data, step and validation; [`carry_out`] sets it up,
trains and leaves the result in the folder of the run.
"""

from ..lazy_face import lazy_face

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "alignearth.kind": ["AlignEarth"],
        "alignearth.recipe": ["AlignEarthRecipe"],
        "captioning.kind": ["ChangeCaptioning"],
        "captioning.recipe": ["CaptioningRecipe"],
        "change.kind": ["ChangeDetection"],
        "change.joint": ["JointChangeDetection", "PairTaskData"],
        "change.joint_recipe": ["JointChangeRecipe"],
        "change.recipe": ["ChangeRecipe"],
        "detection.data": ["DetectionTaskData"],
        "detection.kind": ["JointDetection"],
        "detection.recipe": ["DetectionRecipe"],
        "errors": [
            "CheckpointError",
            "DataWorkerError",
            "NonFiniteLossError",
            "NonFiniteWeightsError",
            "TrainingError",
        ],
        "masked_autoencoding.kind": ["MaskedAutoencoding"],
        "masked_autoencoding.recipe": ["MAERecipe"],
        "kind": ["Training", "TrainingKind"],
        "loop": ["train"],
        "pretraining.data": ["SegmentationData"],
        "pretraining.kind": ["S4Pretraining"],
        "pretraining.recipe": ["PretrainingRecipe"],
        "programs": ["run_training"],
        "roads.kind": ["RoadData", "RoadTraining"],
        "roads.recipe": ["RoadRecipe"],
        "reasoning.kind": ["PixelReasoning"],
        "reasoning.recipe": ["ReasoningRecipe"],
        "run_folder": ["read_log"],
        "running": ["carry_out"],
        "segmentation.kind": ["JointSegmentation"],
        "segmentation.recipe": ["SegmentationRecipe"],
        "segmentation.task_data": ["TaskData"],
        "simfeatup.kind": ["SimFeatUpTraining"],
        "simfeatup.recipe": ["SimFeatUpRecipe"],
        "translation.kind": ["ImageTranslation"],
        "translation.recipe": ["TranslationRecipe"],
        "setup": ["ReadyTraining", "set_up"],
    },
)
