"""BibTeX of the datasets."""

S5_CITATION = """@inproceedings{lv2026s5,
  title={S5: Scalable Semi-Supervised Semantic Segmentation in Remote Sensing},
  author={Lv, Liang and Wang, Di and Zhang, Jing and Zhang, Lefei},
  booktitle={AAAI Conference on Artificial Intelligence},
  year={2026}
}"""
ISAID_CITATION = """@inproceedings{zamir2019isaid,
  title={iSAID: A Large-scale Dataset for Instance Segmentation in Aerial Images},
  author={Waqas Zamir, Syed and Arora, Aditya and Gupta, Akshita and Khan, Salman and Sun, Guolei and
          Shahbaz Khan, Fahad and Zhu, Fan and Shao, Ling and Xia, Gui-Song and Bai, Xiang},
  booktitle={CVPR Workshops},
  year={2019}
}"""
ISPRS_CITATION = """@article{rottensteiner2012isprs,
  title={The ISPRS benchmark on urban object classification and 3D building reconstruction},
  author={Rottensteiner, Franz and Sohn, Gunho and Jung, Jaewook and Gerke, Markus and Baillard, Caroline and
          Benitez, Sebastien and Breitkopf, Uwe},
  journal={ISPRS Annals of the Photogrammetry, Remote Sensing and Spatial Information Sciences},
  volume={I-3},
  year={2012}
}"""
LOVEDA_CITATION = """@inproceedings{wang2021loveda,
  title={LoveDA: A Remote Sensing Land-Cover Dataset for Domain Adaptive Semantic Segmentation},
  author={Wang, Junjue and Zheng, Zhuo and Ma, Ailong and Lu, Xiaoyan and Zhong, Yanfei},
  booktitle={NeurIPS Datasets and Benchmarks},
  year={2021}
}"""
OPENEARTHMAP_CITATION = """@inproceedings{xia2023openearthmap,
  title={OpenEarthMap: A Benchmark Dataset for Global High-Resolution Land Cover Mapping},
  author={Xia, Junshi and Yokoya, Naoto and Adriano, Bruno and Broni-Bediako, Clifford},
  booktitle={WACV},
  year={2023}
}"""
DIOR_R_CITATION = """@article{cheng2022anchor,
  title={Anchor-free Oriented Proposal Generator for Object Detection},
  author={Cheng, Gong and Wang, Jiabao and Li, Ke and Xie, Xingxing and Lang, Chunbo and Yao, Yanqing and
          Han, Junwei},
  journal={IEEE Transactions on Geoscience and Remote Sensing},
  year={2022}
}"""
DOTA_CITATION = """@article{ding2022object,
  title={Object Detection in Aerial Images: A Large-Scale Benchmark and Challenges},
  author={Ding, Jian and Xue, Nan and Xia, Gui-Song and Bai, Xiang and Yang, Wen and Yang, Michael Ying and
          Belongie, Serge and Luo, Jiebo and Datcu, Mihai and Pelillo, Marcello and Zhang, Liangpei},
  journal={IEEE Transactions on Pattern Analysis and Machine Intelligence},
  year={2022}
}"""
DEEPGLOBE_CITATION = """@inproceedings{demir2018deepglobe,
  title={DeepGlobe 2018: A Challenge to Parse the Earth through Satellite Images},
  author={Demir, Ilke and Koperski, Krzysztof and Lindenbaum, David and Pang, Guan and Huang, Jing and Basu, Saikat and
          Hughes, Forest and Tuia, Devis and Raskar, Ramesh},
  booktitle={CVPR Workshops},
  year={2018}
}"""
MILLION_AID_CITATION = """@article{long2021creating,
  title={On Creating Benchmark Dataset for Aerial Image Interpretation: Reviews, Guidances, and Million-AID},
  author={Long, Yang and Xia, Gui-Song and Li, Shengyang and Yang, Wen and Yang, Michael Ying and Zhu, Xiao Xiang
          and Zhang, Liangpei and Li, Deren},
  journal={IEEE Journal of Selected Topics in Applied Earth Observations and Remote Sensing},
  year={2021}
}"""
SAMRS_CITATION = """@inproceedings{wang2023samrs,
  title={SAMRS: Scaling-up Remote Sensing Segmentation Dataset with Segment Anything Model},
  author={Wang, Di and Zhang, Jing and Du, Bo and Xu, Minqiang and Liu, Lin and Tao, Dacheng and Zhang, Liangpei},
  booktitle={NeurIPS Datasets and Benchmarks},
  year={2023}
}"""
STAR_CITATION = """@article{li2024star,
  title={STAR: A First-Ever Dataset and A Large-Scale Benchmark for Scene Graph Generation in Large-Size Satellite
         Imagery},
  author={Li, Yansheng and Wang, Linlin and Wang, Tingzhu and Yang, Xue and Luo, Junwei and Wang, Qi and
          Deng, Youming and Wang, Wenbin and Sun, Xian and Li, Haifeng and Dang, Bo and Zhang, Yongjun and Yu, Yi
          and Yan, Junchi},
  journal={IEEE Transactions on Pattern Analysis and Machine Intelligence},
  year={2024}
}"""
