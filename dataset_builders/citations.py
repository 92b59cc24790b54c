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
UAVID_CITATION = """@article{lyu2020uavid,
  title={UAVid: A semantic segmentation dataset for UAV imagery},
  author={Lyu, Ye and Vosselman, George and Xia, Gui-Song and Yilmaz, Alper and Yang, Michael Ying},
  journal={ISPRS Journal of Photogrammetry and Remote Sensing},
  year={2020}
}"""
UDD_CITATION = """@inproceedings{chen2018large,
  title={Large-scale structure from motion with semantic constraints of aerial images},
  author={Chen, Yu and Wang, Yao and Lu, Peng and Chen, Yisong and Wang, Guoping},
  booktitle={PRCV},
  year={2018}
}"""
VDD_CITATION = """@article{cai2023vdd,
  title={VDD: Varied Drone Dataset for Semantic Segmentation},
  author={Cai, Wenxiao and Jin, Ke and Hou, Jinyan and Guo, Cong and Wu, Letian and Yang, Wankou},
  journal={arXiv preprint arXiv:2305.13608},
  year={2023}
}"""
WHU_CITATION = """@article{ji2019fully,
  title={Fully Convolutional Networks for Multisource Building Extraction From an Open Aerial and Satellite Imagery
         Data Set},
  author={Ji, Shunping and Wei, Shiqing and Lu, Meng},
  journal={IEEE Transactions on Geoscience and Remote Sensing},
  year={2019}
}"""
INRIA_CITATION = """@inproceedings{maggiori2017can,
  title={Can Semantic Labeling Methods Generalize to Any City? The Inria Aerial Image Labeling Benchmark},
  author={Maggiori, Emmanuel and Tarabalka, Yuliya and Charpiat, Guillaume and Alliez, Pierre},
  booktitle={IGARSS},
  year={2017}
}"""
XBD_CITATION = """@inproceedings{gupta2019creating,
  title={Creating xBD: A Dataset for Assessing Building Damage from Satellite Imagery},
  author={Gupta, Ritwik and Goodman, Bryce and Patel, Nirav and Hosfelt, Ricky and Sajeev, Sandra and Heim, Eric and
          Doshi, Jigar and Lucas, Keane and Choset, Howie and Gaston, Matthew},
  booktitle={CVPR Workshops},
  year={2019}
}"""
CHN6_CUG_CITATION = """@article{zhu2021global,
  title={A Global Context-aware and Batch-independent Network for road extraction from VHR satellite imagery},
  author={Zhu, Qiqi and Zhang, Yanan and Wang, Lizeng and Zhong, Yanfei and Guan, Qingfeng and Lu, Xiaoyan and
          Zhang, Liangpei and Li, Deren},
  journal={ISPRS Journal of Photogrammetry and Remote Sensing},
  year={2021}
}"""
MASSACHUSETTS_CITATION = """@phdthesis{mnih2013machine,
  title={Machine Learning for Aerial Image Labeling},
  author={Mnih, Volodymyr},
  school={University of Toronto},
  year={2013}
}"""
SPACENET_CITATION = """@article{vanetten2018spacenet,
  title={SpaceNet: A Remote Sensing Dataset and Challenge Series},
  author={Van Etten, Adam and Lindenbaum, Dave and Bacastow, Todd M.},
  journal={arXiv preprint arXiv:1807.01232},
  year={2018}
}"""
GLOBAL_SCALE_CITATION = """@inproceedings{yin2025towards,
  title={Towards Satellite Image Road Graph Extraction: A Global-Scale Dataset and A Novel Method},
  author={Yin, Pan and Li, Kaiyu and Cao, Xiangyong and Yao, Jing and Liu, Lei and Bai, Xueru and Zhou, Feng and
          Meng, Deyu},
  booktitle={CVPR},
  year={2025}
}"""
CITY_SCALE_CITATION = """@inproceedings{he2020sat2graph,
  title={Sat2Graph: Road Graph Extraction through Graph-Tensor Encoding},
  author={He, Songtao and Bastani, Favyen and Jagwani, Satvat and Alizadeh, Mohammad and Balakrishnan, Hari and
          Chawla, Sanjay and Elshrif, Mohamed M. and Madden, Samuel and Sadeghi, Mohammad Amin},
  booktitle={ECCV},
  year={2020}
}"""
IRSAMAP_CITATION = """@article{irsamap2025,
  title={IRSAMap: Towards Large-Scale, High-Resolution Land Cover Map Vectorization},
  journal={arXiv preprint arXiv:2508.16272},
  year={2025}
}"""
WBS_SI_CITATION = """@misc{wbssi,
  title={Water body segmentation in satellite images},
  howpublished={Kaggle, shirshmall/water-body-segmentation-in-satellite-images}
}"""
LEVIR_CC_CITATION = """@article{liu2022rsicc,
  title={Remote Sensing Image Change Captioning With Dual-Branch Transformers: A New Method and a Large Scale Dataset},
  author={Liu, Chenyang and others},
  journal={IEEE Transactions on Geoscience and Remote Sensing},
  volume={60},
  year={2022}
}"""

LEVIR_CD_CITATION = """@article{chen2020spatial,
  title={A Spatial-Temporal Attention-Based Method and a New Dataset for Remote Sensing Image Change Detection},
  author={Chen, Hao and Shi, Zhenwei},
  journal={Remote Sensing},
  year={2020}
}"""
S2LOOKING_CITATION = """@article{shen2021s2looking,
  title={S2Looking: A Satellite Side-Looking Dataset for Building Change Detection},
  author={Shen, Li and Lu, Yao and Chen, Hao and Wei, Hao and Xie, Donghai and Yue, Jiabao and Chen, Rui and
          Zhang, Yue and Zhang, Ao and Lv, Shouye and Jiang, Bitao},
  journal={Remote Sensing},
  year={2021}
}"""
BANDON_CITATION = """@article{pang2023detecting,
  title={Detecting building changes with off-nadir aerial images},
  author={Pang, Chao and Wu, Jiang and Ding, Jian and Song, Can and Xia, Gui-Song},
  journal={Science China Information Sciences},
  year={2023}
}"""
SECOND_CITATION = """@article{yang2022asymmetric,
  title={Asymmetric Siamese Networks for Semantic Change Detection in Aerial Images},
  author={Yang, Kunping and Xia, Gui-Song and Liu, Zicheng and Du, Bo and Yang, Wen and Pelillo, Marcello and
          Zhang, Liangpei},
  journal={IEEE Transactions on Geoscience and Remote Sensing},
  year={2022}
}"""
